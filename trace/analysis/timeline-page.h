/* SPDX-License-Identifier: MIT */
/*
 * The viewer, made by viewer/embed from its sources: what comes before the page's title, between
 * the title and the data, and after the data.
 */
#ifndef ORRERY_TRACE_ANALYSIS_TIMELINE_PAGE_H
#define ORRERY_TRACE_ANALYSIS_TIMELINE_PAGE_H

extern const char timeline_page_head[];
extern const char timeline_page_middle[];
extern const char timeline_page_tail[];

#endif
