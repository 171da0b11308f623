/* SPDX-License-Identifier: MIT
 *
 * Kicks and wake-ups as arrows, and everything that is painted around the lanes: ruler, minimap,
 * what the mouse is on. The idea to hold: an arrow goes from who kicked, when it was sent, to whom
 * it hit, when it took effect; its slope is the delay. Where arrows would be a thicket, their
 * number is drawn.
 */

const MAX_ARROWS = 350;

/* The kicks that are under way within the view. */
function kicksInView(t0, t1) {
    const kicks = app.model.kicks;
    const list = [];
    const from = firstFrom(kicks, t0 - kicks.longest);
    const to = firstFrom(kicks, t1);
    for (let k = from; k < to; k++) {
        const end = kicks.sent[k] + (Number.isNaN(kicks.taken[k]) ? 0 : kicks.taken[k]);
        if (end >= t0) {
            list.push(k);
        }
    }
    return list;
}

function bandOf(row, top, ratio) {
    const y = (row.y - top + row.pad) * ratio;
    const h = (row.h - 2 * row.pad + (row.lane.state ? 4 : 0)) * ratio;
    return [y, y + h];
}

/* The arrow's curve, in device pixels; null when its target has no row. */
function arrowShape(p, k, top) {
    const kicks = app.model.kicks;
    const target = headRow(kicks.to[k] - 1);
    if (!target) {
        return null;
    }
    const source = kicks.from[k] ? headRow(kicks.from[k] - 1) : null;
    const taken = kicks.taken[k];
    const never = Number.isNaN(taken);
    const scale = p.width / (p.t1 - p.t0);
    const x1 = (kicks.sent[k] - p.t0) * scale;
    const x2 = never ? x1 : x1 + taken * scale;
    const [targetTop, targetBottom] = bandOf(target, top, p.ratio);
    let y1;
    let y2 = targetTop;
    if (!source || source === target) {
        y1 = targetTop - 9 * p.ratio;
    } else {
        const [sourceTop, sourceBottom] = bandOf(source, top, p.ratio);
        if (sourceTop < targetTop) {
            y1 = sourceBottom;
        } else {
            y1 = sourceTop;
            y2 = targetBottom;
        }
    }
    return {
        x1,
        y1,
        x2,
        y2,
        never,
        self: source === target,
        wake: app.model.states[kicks.state[k]] === 'halted',
        merged: kicks.merged[k] === 1,
    };
}

function arrowPath(ctx, s, ratio) {
    ctx.beginPath();
    ctx.moveTo(s.x1, s.y1);
    const bend = (s.y2 - s.y1) * 0.5;
    ctx.bezierCurveTo(s.x1, s.y1 + bend, s.x2, s.y2 - bend, s.x2, s.y2);
    ctx.stroke();
    const down = s.y2 >= s.y1 ? 1 : -1;
    const size = 4.5 * ratio;
    ctx.beginPath();
    if (s.never) {
        ctx.moveTo(s.x2 - size, s.y2 - size);
        ctx.lineTo(s.x2 + size, s.y2 + size);
        ctx.moveTo(s.x2 + size, s.y2 - size);
        ctx.lineTo(s.x2 - size, s.y2 + size);
        ctx.stroke();
    } else {
        ctx.moveTo(s.x2, s.y2 + down * 1.5 * ratio);
        ctx.lineTo(s.x2 - size * 0.8, s.y2 - down * size * 1.5);
        ctx.lineTo(s.x2 + size * 0.8, s.y2 - down * size * 1.5);
        ctx.fill();
    }
}

function paintArrow(p, k, top, strong) {
    const s = arrowShape(p, k, top);
    if (!s) {
        return;
    }
    const ctx = p.ctx;
    const colour = strong ? theme.css.match : s.wake ? theme.css.accent : theme.css.arrow;
    ctx.strokeStyle = colour;
    ctx.fillStyle = colour;
    ctx.lineWidth = (strong ? 2.4 : 1.3) * p.ratio;
    ctx.globalAlpha = s.merged && !strong ? 0.45 : 1;
    /* A path of millions of pixels outside the picture would be cut into dashes, too. */
    const far = Math.abs(s.x2 - s.x1) > 8 * p.width;
    ctx.setLineDash((s.merged || s.never) && !far ? [4 * p.ratio, 3 * p.ratio] : []);
    arrowPath(ctx, s, p.ratio);
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
}

function paintArrows(p, top) {
    app.kicksShown = [];
    if (!app.arrows || !app.model.kicks.n) {
        return;
    }
    const kicks = app.model.kicks;
    const list = kicksInView(p.t0, p.t1);
    if (list.length <= MAX_ARROWS) {
        app.kicksShown = list;
        list.forEach((k) => paintArrow(p, k, top, false));
        return;
    }
    /* How many kicks hit a lane in each two pixels, as a fringe on its upper edge. */
    const cell = Math.max(1, Math.round(2 * p.ratio));
    const perLane = new Map();
    for (const k of list) {
        const x = Math.floor((((kicks.sent[k] - p.t0) / (p.t1 - p.t0)) * p.width) / cell);
        if (x >= 0 && x * cell < p.width) {
            if (!perLane.has(kicks.to[k])) {
                perLane.set(kicks.to[k], new Uint32Array(Math.ceil(p.width / cell)));
            }
            perLane.get(kicks.to[k])[x]++;
        }
    }
    p.ctx.fillStyle = theme.css.arrow;
    for (const [to, cells] of perLane) {
        const row = headRow(to - 1);
        if (!row) {
            continue;
        }
        const [y] = bandOf(row, top, p.ratio);
        cells.forEach((n, x) => {
            if (n) {
                const h = Math.min(7, 2 + Math.log2(n)) * p.ratio;
                p.ctx.fillRect(x * cell, y - h, cell, h);
            }
        });
    }
}

/* ---- Around the lanes ---- */

function tickStep(span, room) {
    const raw = span / room;
    const power = 10 ** Math.floor(Math.log10(raw));
    for (const m of [1, 2, 5, 10]) {
        if (power * m >= raw) {
            return Math.max(1, power * m);
        }
    }
    return power * 10;
}

function sizeCanvas(canvas, ratio) {
    const box = canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
    }
    return canvas.getContext('2d');
}

/* Text of a tick, in the unit in which the view's end is a number of one to three digits. */
function tickText(t, step, end) {
    const [unit, scale] = end < 1e6 ? ['\u00b5s', 3] : end < 1e9 ? ['ms', 6] : ['s', 9];
    const digits = Math.max(0, Math.min(scale, Math.ceil(scale - Math.log10(step) - 1e-9)));
    return `${(t / 10 ** scale).toFixed(digits)} ${unit}`;
}

function paintRuler(p, grid) {
    const canvas = $('ruler-canvas');
    const ctx = sizeCanvas(canvas, p.ratio);
    const q = { ...p, ctx };
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    setFont(q, 11);
    const step = tickStep(p.t1 - p.t0, p.width / (118 * p.ratio));
    ctx.fillStyle = theme.css.text;
    for (let t = Math.ceil(p.t0 / step) * step; t < p.t1; t += step) {
        const x = Math.round(((t - p.t0) / (p.t1 - p.t0)) * p.width);
        ctx.fillRect(x, canvas.height - 7 * p.ratio, Math.max(1, p.ratio), 7 * p.ratio);
        const text = tickText(t, step, p.t1);
        if (x + 4 * p.ratio + ctx.measureText(text).width < p.width) {
            ctx.fillText(text, x + 4 * p.ratio, canvas.height / 2 - p.ratio);
        }
        grid.push(x);
    }
    for (let t = (Math.ceil((p.t0 / step) * 5) * step) / 5; t < p.t1; t += step / 5) {
        const x = Math.round(((t - p.t0) / (p.t1 - p.t0)) * p.width);
        ctx.fillRect(x, canvas.height - 3 * p.ratio, Math.max(1, p.ratio), 3 * p.ratio);
    }
    if (app.range) {
        const x0 = xAt(app.range.t0) * p.ratio;
        const x1 = xAt(app.range.t1) * p.ratio;
        ctx.fillStyle = theme.css['accent-soft'];
        ctx.fillRect(x0, 0, x1 - x0, canvas.height);
        ctx.fillStyle = theme.css.accent;
        ctx.fillRect(x0 - 1, 0, 2 * p.ratio, canvas.height);
        ctx.fillRect(x1 - 1, 0, 2 * p.ratio, canvas.height);
    }
}

/* The whole trace, all vCPUs added up; painted again only when its size or colours change. */
const mini = { canvas: null, key: '' };
function paintMini(ratio) {
    const canvas = $('mini-canvas');
    const ctx = sizeCanvas(canvas, ratio);
    const { width, height } = canvas;
    const model = app.model;
    const key = [width, height, theme.dark, [...app.hidden].join()].join('/');
    if (mini.key !== key) {
        mini.key = key;
        mini.canvas = document.createElement('canvas');
        mini.canvas.width = width;
        mini.canvas.height = height;
        paintMiniShares(mini.canvas.getContext('2d'), width, height, ratio);
    }
    ctx.clearRect(0, 0, width, height);
    ctx.drawImage(mini.canvas, 0, 0);
    const at = (t) => ((t - model.begin) / (model.end - model.begin)) * width;
    ctx.fillStyle = theme.css.match;
    for (const t of app.search.ticks || []) {
        ctx.fillRect(Math.round(at(t)), 0, Math.max(1, ratio), 5 * ratio);
    }
    if (app.range) {
        ctx.fillStyle = theme.css.accent;
        ctx.fillRect(
            at(app.range.t0),
            height - 3 * ratio,
            Math.max(2, at(app.range.t1) - at(app.range.t0)),
            3 * ratio,
        );
    }
    const x0 = at(app.view.t0);
    const x1 = Math.max(at(app.view.t1), x0 + 3 * ratio);
    ctx.fillStyle = theme.dark ? 'rgba(0,0,0,0.55)' : 'rgba(255,255,255,0.62)';
    ctx.fillRect(0, 0, x0, height);
    ctx.fillRect(x1, 0, width - x1, height);
    ctx.strokeStyle = theme.css.accent;
    ctx.lineWidth = 1.5 * ratio;
    ctx.strokeRect(x0 + 0.75 * ratio, 0.75 * ratio, x1 - x0 - 1.5 * ratio, height - 1.5 * ratio);
}

function paintMiniShares(ctx, width, height, ratio) {
    const model = app.model;
    const tracks = model.lanes.filter((l) => l.state).map((l) => l.state);
    if (!tracks.length) {
        return;
    }
    const part = (model.end - model.begin) / width;
    const y = 6 * ratio;
    const h = height - 10 * ratio;
    const batch = new Batch(model.states.length);
    const order = stackOrder(tracks[0]);
    const sum = new Float64Array(model.states.length);
    const out = new Float64Array(model.states.length);
    for (let x = 0; x < width; x++) {
        sum.fill(0);
        for (const track of tracks) {
            shares(track, model.begin + x * part, model.begin + (x + 1) * part, out);
            out.forEach((v, s) => {
                sum[s] += v;
            });
        }
        stackColumn(batch, sum, order, part * tracks.length, x, y, h, 1);
    }
    model.states.forEach((name, s) => {
        if (app.hidden.has(name)) {
            batch.rects[s] = [];
        }
    });
    batch.fill(ctx, (s) => stateColour(model.states[s]));
    ctx.fillStyle = theme.css.lost;
    for (const loss of model.losses) {
        const x0 = ((loss.begin - model.begin) / (model.end - model.begin)) * width;
        const x1 = ((loss.end - model.begin) / (model.end - model.begin)) * width;
        ctx.fillRect(x0, height - 4 * ratio, Math.max(2 * ratio, x1 - x0), 4 * ratio);
    }
}

/* The place of an item of a row, device pixels. */
function itemBox(p, track, i, top) {
    const row = app.rows.find((r) => r.tracks.includes(track));
    if (!row) {
        return null;
    }
    const k = row.tracks.indexOf(track);
    const scale = p.width / (p.t1 - p.t0);
    const x0 = (track.start[i] - p.t0) * scale;
    const x1 = Math.max((track.end[i] - p.t0) * scale, x0 + 2 * p.ratio);
    let y0 = (row.y - top + row.pad) * p.ratio + k * (row.each || 0) * p.ratio;
    let y1 = y0 + ((row.each || row.h - 2 * row.pad) - 1) * p.ratio;
    if (row.head && row.lane.state) {
        [y0, y1] = bandOf(row, top, p.ratio);
    }
    return [x0, y0, x1 - x0, y1 - y0];
}

function outline(p, track, i, top, colour, thick) {
    const box = itemBox(p, track, i, top);
    if (!box || box[0] > p.width || box[0] + box[2] < 0) {
        return;
    }
    p.ctx.strokeStyle = theme.css.bg;
    p.ctx.lineWidth = (thick + 2) * p.ratio;
    p.ctx.strokeRect(box[0], box[1], box[2], box[3]);
    p.ctx.strokeStyle = colour;
    p.ctx.lineWidth = thick * p.ratio;
    p.ctx.strokeRect(box[0], box[1], box[2], box[3]);
}

function paintOver(p, top) {
    const ctx = p.ctx;
    ctx.clearRect(0, 0, ctx.canvas.width, ctx.canvas.height);
    const height = ctx.canvas.height;
    if (app.range) {
        const x0 = Math.max(0, xAt(app.range.t0) * p.ratio);
        const x1 = Math.min(p.width, xAt(app.range.t1) * p.ratio);
        if (x1 > x0) {
            ctx.fillStyle = theme.css['accent-soft'];
            ctx.fillRect(x0, 0, x1 - x0, height);
            ctx.fillStyle = theme.css.accent;
            ctx.fillRect(x0, 0, Math.max(1, p.ratio), height);
            ctx.fillRect(x1 - 1, 0, Math.max(1, p.ratio), height);
        }
    }
    const current = app.search.current;
    if (current && current.track) {
        outline(p, current.track, current.i, top, theme.css.match, 2);
    }
    if (app.selected && app.selected.track) {
        outline(p, app.selected.track, app.selected.i, top, theme.css.text, 2);
    } else if (app.selected && app.selected.kick !== undefined) {
        paintArrow(p, app.selected.kick, top, true);
    }
    if (app.hover) {
        if (app.hover.kick !== undefined) {
            paintArrow(p, app.hover.kick, top, true);
        } else if (app.hover.track && app.hover.i >= 0) {
            outline(p, app.hover.track, app.hover.i, top, theme.css.text, 1);
        }
        ctx.fillStyle = theme.css['text-soft'];
        ctx.fillRect(
            Math.round(app.hover.x * p.ratio),
            0,
            Math.max(1, Math.round(p.ratio)),
            height,
        );
    }
}

/* Everything that is stale. */
/*
 * The legend comes first: it may take a line more or less, and what is below it must be laid out for the
 * room that is left before anything is painted there.
 */
function paint() {
    if (stale.base || stale.panel) {
        drawLegend();
    }
    const box = $('stage').getBoundingClientRect();
    if (box.width !== app.size.width || box.height !== app.size.height) {
        measure();
    }
    const { width, height, ratio } = app.size;
    const top = $('scroller').scrollTop;
    const p = {
        width: Math.round(width * ratio),
        t0: app.view.t0,
        t1: app.view.t1,
        ratio,
        ctx: null,
    };
    if (stale.base) {
        const canvas = $('base');
        p.ctx = sizeCanvas(canvas, ratio);
        p.ctx.fillStyle = theme.css['bg-lane'];
        p.ctx.fillRect(0, 0, canvas.width, canvas.height);
        const grid = [];
        paintRuler(p, grid);
        p.ctx.fillStyle = theme.css['line-soft'];
        grid.forEach((x) => p.ctx.fillRect(x, 0, Math.max(1, ratio), canvas.height));
        for (const row of app.rows) {
            if (row.y + row.h >= top && row.y <= top + height) {
                paintRow(p, row, top);
            }
        }
        paintArrows(p, top);
    }
    p.ctx = sizeCanvas($('over'), ratio);
    paintOver(p, top);
    paintMini(ratio);
    if (stale.base || stale.panel) {
        drawStatus();
    }
    if (stale.panel) {
        drawPanel();
    }
    stale.base = stale.over = stale.panel = false;
}
