/* SPDX-License-Identifier: MIT
 *
 * Numbers for people, and the few helpers for making elements. The idea to hold: text from the
 * trace only ever becomes text nodes, so a task named like a tag is shown, not obeyed.
 */

/* 1234567 -> "1.235 ms": four digits are what one can compare. */
function duration(ns) {
    if (Number.isNaN(ns)) {
        return '?';
    }
    const size = Math.abs(ns);
    if (size < 1000) {
        return `${Math.round(ns)} ns`;
    }
    for (const [unit, scale] of [
        ['\u00b5s', 1e3],
        ['ms', 1e6],
        ['s', 1e9],
    ]) {
        const v = ns / scale;
        if (Math.abs(v) < 999.95 || unit === 's') {
            return `${v.toFixed(Math.abs(v) < 10 ? 3 : Math.abs(v) < 100 ? 2 : 1)} ${unit}`;
        }
    }
    return '';
}

/* Seconds since the trace's first event, to the digits that `resolution` (ns) makes meaningful. */
function clockText(ns, resolution) {
    const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(Math.max(1, resolution)))));
    return `${(ns / 1e9).toFixed(digits)} s`;
}

function count(n) {
    return Math.round(n).toLocaleString('en-US').replace(/,/g, '\u202f');
}

function percent(part, whole) {
    if (whole <= 0 || part <= 0) {
        return '0%';
    }
    const p = (100 * part) / whole;
    return p < 0.01 ? '<0.01%' : `${p.toFixed(p < 10 ? 2 : 1)}%`;
}

/* Quantiles by nearest rank that so few numbers cannot tell are not told. */
function quantileText(sorted, q) {
    const enough =
        q === 1 || q * sorted.length <= sorted.length - 1 || (q === 0.5 && sorted.length);
    return enough && sorted.length ? duration(quantile(sorted, q)) : '\u2013';
}

/* The q-th part (0..1) of sorted numbers, by the nearest rank. */
function quantile(sorted, q) {
    return sorted.length
        ? sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]
        : NaN;
}

function el(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
        if (key === 'class') {
            e.className = value;
        } else if (key.startsWith('on')) {
            e.addEventListener(key.slice(2), value);
        } else if (key === 'style') {
            Object.assign(e.style, value);
        } else if (value !== undefined && value !== false) {
            e.setAttribute(key, value);
        }
    }
    for (const child of children.flat(Infinity)) {
        if (child !== undefined && child !== null) {
            e.append(child);
        }
    }
    return e;
}

function swatch(colour) {
    return el('i', { class: 'swatch', style: { background: colour } });
}

const $ = (id) => document.getElementById(id);
