/* SPDX-License-Identifier: MIT
 *
 * Painting tracks. The idea to hold: a pixel column that one interval fills is part of a plain
 * band; a column that several share shows the shares stacked, in the same order everywhere. What is
 * there at all keeps a visible height, so that a short wait among long runs is not lost between
 * pixels.
 *
 * All lengths here are device pixels; `p` is { ctx, width, t0, t1, ratio }.
 */

const TEXT_FONT = 'system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';

/* Rectangles by colour slot, joined to the one on their left where they continue it. */
class Batch {
    constructor(slots) {
        this.rects = Array.from({ length: slots }, () => []);
    }

    add(slot, x, y, w, h) {
        const list = this.rects[slot];
        const n = list.length;
        if (n && list[n - 4] + list[n - 2] === x && list[n - 3] === y && list[n - 1] === h) {
            list[n - 2] += w;
        } else {
            list.push(x, y, w, h);
        }
    }

    fill(ctx, colour) {
        this.rects.forEach((list, slot) => {
            if (list.length) {
                ctx.fillStyle = colour(slot);
                for (let i = 0; i < list.length; i += 4) {
                    ctx.fillRect(list[i], list[i + 1], list[i + 2], list[i + 3]);
                }
            }
        });
    }
}

function stackOrder(track) {
    if (track.kind !== 'state') {
        return Array.from({ length: track.slots }, (_, s) => s);
    }
    return STACK.map((name) => track.names.indexOf(name)).filter((s) => s >= 0);
}

/* One pixel column of several intervals: heights as their shares, none below `least`. */
function stackColumn(batch, out, order, part, x, y, h, least) {
    let used = 0;
    let largest = -1;
    const heights = [];
    for (const slot of order) {
        const share = out[slot];
        heights.push(share > 0 ? Math.max(least, Math.round((share / part) * h)) : 0);
        used += heights[heights.length - 1];
        if (share > 0 && (largest < 0 || share > out[order[largest]])) {
            largest = heights.length - 1;
        }
    }
    if (largest < 0) {
        return;
    }
    let covered = 0;
    for (const slot of order) {
        covered += out[slot];
    }
    const full = covered > part * 0.999;
    if (used > h || full) {
        heights[largest] = Math.max(least, heights[largest] + h - used);
    }
    let bottom = y + h;
    order.forEach((slot, k) => {
        if (heights[k] > 0) {
            const top = Math.max(y, bottom - heights[k]);
            if (bottom > top) {
                batch.add(slot, x, top, 1, bottom - top);
            }
            bottom = top;
        }
    });
}

/*
 * Where one long interval ends or begins in the pixel x, the pixel goes whole to whoever has most
 * of it, so that bands have plain edges: the interval's index, NOBODY, or MIXED when there is more
 * in it.
 */
const NOBODY = -1;
const MIXED = -2;
function edgeOwner(track, i, x, from, to, t0, part) {
    if (to - from < 1) {
        return MIXED;
    }
    if (from > x) {
        return to < x + 1 ? MIXED : x + 1 - from >= 0.5 ? i : NOBODY;
    }
    const next = i + 1 < track.n ? (track.start[i + 1] - t0) / part : Infinity;
    if (next >= x + 1) {
        return to - x >= 0.5 ? i : NOBODY;
    }
    const nextTo = (track.end[i + 1] - t0) / part;
    if (nextTo < x + 1 || nextTo - next < 1) {
        return MIXED;
    }
    if (next - to > 0.5) {
        return NOBODY;
    }
    return to - x >= x + 1 - next ? i : i + 1;
}

/* Paints intervals; returns the plain bands wide enough for a text, as [index, x, width]. */
function paintIntervals(p, track, y, h, hidden) {
    const { width, t0 } = p;
    const part = (p.t1 - t0) / width;
    const { start, end, cls, slot, n } = track;
    const batch = new Batch(track.slots);
    const order = stackOrder(track);
    const out = new Float64Array(track.slots);
    const least = Math.round((track.kind === 'state' ? 1.5 : 3) * p.ratio);
    const labels = [];
    const roomy = 34 * p.ratio;
    let i = firstAfter(track, t0);
    let x = 0;
    while (x < width && i < n && start[i] < p.t1) {
        const a = t0 + x * part;
        if (end[i] <= a) {
            i = i + 1 < n && end[i + 1] > a ? i + 1 : firstAfter(track, a);
            if (i >= n) {
                break;
            }
        }
        const from = (start[i] - t0) / part;
        if (from >= x + 1) {
            x = Math.floor(from);
            continue;
        }
        const to = (end[i] - t0) / part;
        if (from <= x && to >= x + 1) {
            const last = Math.min(width, Math.floor(to));
            batch.add(slot[cls[i]], x, y, last - x, h);
            if (last - x >= roomy) {
                labels.push([i, x, last - x]);
            }
            x = last;
            continue;
        }
        const edge = edgeOwner(track, i, x, from, to, t0, part);
        if (edge !== MIXED) {
            if (edge >= 0) {
                batch.add(slot[cls[edge]], x, y, 1, h);
            }
            x++;
            continue;
        }
        const after = shares(track, a, a + part, out, i);
        if (track.kind !== 'state') {
            /* What takes no time still happened. */
            for (let k = i; k < after && k < i + STEP; k++) {
                out[slot[cls[k]]] = Math.max(out[slot[cls[k]]], part * 1e-9);
            }
        }
        stackColumn(batch, out, order, part, x, y, h, least);
        x++;
        i = Math.max(i, after - 1);
    }
    if (hidden && hidden.size) {
        track.names.forEach((name, s) => {
            if (hidden.has(name) && batch.rects[s]) {
                batch.rects[s] = [];
            }
        });
    }
    batch.fill(p.ctx, (s) => slotColour(track, s));
    if (track.kind === 'state') {
        hatchWaits(p, track, batch);
    }
    return labels;
}

function hatchWaits(p, track, batch) {
    track.names.forEach((name, s) => {
        const style = STATE_STYLE[name];
        if (!style || !(style.wait || style.lost)) {
            return;
        }
        const list = batch.rects[s];
        p.ctx.fillStyle = hatch(p.ctx, style.lost ? theme.css.lost : 'rgba(0,0,0,0.28)', p.ratio);
        for (let i = 0; i < list.length; i += 4) {
            if (list[i + 2] >= 5 * p.ratio) {
                p.ctx.fillRect(list[i], list[i + 1], list[i + 2], list[i + 3]);
            }
        }
    });
}

/* Text inside a band, cut to it. */
function bandText(p, texts, x, w, y, h, colour) {
    const ctx = p.ctx;
    const room = w - 8 * p.ratio;
    for (const text of texts) {
        if (ctx.measureText(text).width <= room) {
            ctx.fillStyle = colour;
            ctx.fillText(text, x + 4 * p.ratio, y + h / 2);
            return;
        }
    }
}

function setFont(p, size, weight = 400) {
    p.ctx.font = `${weight} ${size * p.ratio}px ${TEXT_FONT}`;
    p.ctx.textBaseline = 'middle';
    p.ctx.textAlign = 'left';
}

function paintState(p, track, y, h) {
    const labels = paintIntervals(p, track, y, h, app.hidden);
    setFont(p, 11, 500);
    for (const [i, x, w] of labels) {
        const name = track.names[track.cls[i]];
        if (app.hidden.has(name)) {
            continue;
        }
        const why = [name, app.model.texts[track.reason[i]]].filter(Boolean).join(' \u00b7 ');
        bandText(
            p,
            [`${why} \u00b7 ${duration(track.end[i] - track.start[i])}`, why, name],
            x,
            w,
            y,
            h,
            inkOn(stateColour(name)),
        );
    }
}

function paintSpans(p, track, y, h) {
    const labels = paintIntervals(p, track, y, h, null);
    setFont(p, Math.min(10.5, h / p.ratio - 1.5));
    for (const [i, x, w] of labels) {
        const name = track.names[track.cls[i]];
        bandText(
            p,
            [`${name} \u00b7 ${duration(track.end[i] - track.start[i])}`, name],
            x,
            w,
            y,
            h,
            inkOn(classColour(track, track.cls[i])),
        );
    }
}

/*
 * Moments: a line each; where several fall on one pixel, taller with their number, colours stacked.
 */
function paintMarks(p, track, y, h) {
    const part = (p.t1 - p.t0) / p.width;
    const batch = new Batch(track.slots);
    const order = stackOrder(track);
    const out = new Float64Array(track.slots);
    const line = Math.max(1, Math.round(p.ratio));
    const texts = [];
    let i = firstFrom(track, p.t0);
    while (i < track.n && track.start[i] < p.t1) {
        const x = Math.floor((track.start[i] - p.t0) / part);
        const limit = p.t0 + (x + 1) * part;
        const first = i;
        out.fill(0);
        do {
            out[track.slot[track.cls[i]]]++;
            i++;
        } while (i < track.n && track.start[i] < limit);
        const n = i - first;
        const tall = Math.round(h * Math.min(1, 0.5 + Math.log2(n) / 14));
        stackColumn(batch, out, order, n, x, y + h - tall, tall, line);
        if (n === 1) {
            texts.push([first, x]);
        }
    }
    batch.fill(p.ctx, (s) => slotColour(track, s));
    setFont(p, 10);
    p.ctx.fillStyle = theme.css['text-soft'];
    texts.forEach(([index, x], k) => {
        const next = k + 1 < texts.length ? texts[k + 1][1] : p.width;
        const after = index + 1 < track.n ? (track.start[index + 1] - p.t0) / part : Infinity;
        const name = track.names[track.cls[index]];
        if (p.ctx.measureText(name).width + 10 * p.ratio < Math.min(next, after) - x) {
            p.ctx.fillText(name, x + 4 * p.ratio, y + h / 2);
        }
    });
}

/* What was lost is neither silence nor idleness: a hatched block over everything of its lanes. */
function paintLosses(p, row, y, h) {
    const ctx = p.ctx;
    for (const loss of app.model.losses) {
        if (loss.source !== row.lane.source || (loss.lane >= 0 && loss.lane !== row.lane.index)) {
            continue;
        }
        const x0 = ((loss.begin - p.t0) / (p.t1 - p.t0)) * p.width;
        const x1 = Math.max(((loss.end - p.t0) / (p.t1 - p.t0)) * p.width, x0 + 3 * p.ratio);
        if (x1 < 0 || x0 > p.width) {
            continue;
        }
        const a = Math.max(0, Math.floor(x0));
        const b = Math.min(p.width, Math.ceil(x1));
        /*
         * What the trace says of this time is what was so before: it must not look like knowledge.
         */
        ctx.fillStyle = theme.css.empty;
        ctx.globalAlpha = 0.86;
        ctx.fillRect(a, y, b - a, h);
        ctx.globalAlpha = 1;
        ctx.fillStyle = hatch(ctx, theme.css.lost, p.ratio);
        ctx.fillRect(a, y, b - a, h);
        if (row.head && h > 16 * p.ratio) {
            setFont(p, 11, 600);
            const text = `${count(loss.count)} events lost`;
            const w = ctx.measureText(text).width + 8 * p.ratio;
            if (w < b - a) {
                ctx.fillStyle = theme.css.bg;
                ctx.fillRect(a + 3 * p.ratio, y + h / 2 - 8 * p.ratio, w, 16 * p.ratio);
                ctx.fillStyle = theme.css.lost;
                ctx.fillText(text, a + 7 * p.ratio, y + h / 2);
            }
        }
    }
}

/* What the search found, as a line under each hit. */
function paintHits(p, track, y, h) {
    const hits = app.search.tracks.get(track);
    if (!hits || !hits.length) {
        return;
    }
    const ctx = p.ctx;
    const part = (p.t1 - p.t0) / p.width;
    const line = Math.round(2.5 * p.ratio);
    ctx.fillStyle = theme.css.match;
    let last = -1;
    let low = 0;
    let high = hits.length;
    while (low < high) {
        const mid = (low + high) >> 1;
        if (track.end[hits[mid]] < p.t0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (let k = low; k < hits.length && track.start[hits[k]] < p.t1; k++) {
        const x = Math.max(0, Math.floor((track.start[hits[k]] - p.t0) / part));
        const to = Math.min(p.width, Math.max(x + line, (track.end[hits[k]] - p.t0) / part));
        if (to > last) {
            ctx.fillRect(Math.max(x, last), y + h - line, to - Math.max(x, last), line);
            ctx.fillRect(Math.max(x, last), y, Math.min(to - Math.max(x, last), p.width), line / 2);
            last = to;
        }
    }
}

function paintRow(p, row, top) {
    const r = p.ratio;
    const y = Math.round((row.y - top) * r);
    const h = Math.round(row.h * r);
    const ctx = p.ctx;
    ctx.fillStyle = theme.css['line-soft'];
    if (row.head) {
        ctx.fillStyle = theme.css.line;
        ctx.fillRect(0, y, p.width, Math.max(1, Math.round(r)));
    }
    const inner = y + Math.round(row.pad * r);
    if (row.head && row.lane.state) {
        const band = h - 2 * Math.round(row.pad * r) + Math.round(4 * r);
        ctx.fillStyle = theme.css.empty;
        ctx.fillRect(0, inner, p.width, band);
        paintState(p, row.lane.state, inner, band);
        paintLosses(p, row, inner, band);
        paintHits(p, row.lane.state, inner, band);
        return;
    }
    const each = Math.round((row.head ? row.h - 2 * row.pad : row.each - 1) * r);
    row.tracks.forEach((track, k) => {
        const at = inner + k * Math.round((row.each || 0) * r);
        if (!row.head && k === 0) {
            ctx.fillStyle = theme.css.empty;
            ctx.fillRect(0, at, p.width, Math.round(row.each * row.tracks.length * r) - 1);
        }
        if (track.kind === 'mark') {
            paintMarks(p, track, at, each);
        } else {
            paintSpans(p, track, at, each);
        }
        paintHits(p, track, at, each);
    });
    paintLosses(p, row, inner, h - 2 * Math.round(row.pad * r));
}
