/* SPDX-License-Identifier: MIT
 *
 * What is at a place, and what to say about it. The idea to hold: tooltip, detail pane and the
 * announcement for screen readers are one description, made once.
 */

const NEAR = 4; /* CSS pixels */

function arrowNear(x, y, top) {
    const p = { width: app.size.width, t0: app.view.t0, t1: app.view.t1, ratio: 1 };
    let best = -1;
    let distance = NEAR * NEAR;
    for (const k of app.kicksShown) {
        const s = arrowShape(p, k, top);
        if (!s || Math.min(s.x1, s.x2) > x + NEAR || Math.max(s.x1, s.x2) < x - NEAR) {
            continue;
        }
        const bend = (s.y2 - s.y1) * 0.5;
        for (let q = 0; q <= 1; q += 0.05) {
            const r = 1 - q;
            const bx = s.x1 * (r ** 3 + 3 * r * r * q) + s.x2 * (q ** 3 + 3 * r * q * q);
            const by =
                r ** 3 * s.y1 +
                3 * r * r * q * (s.y1 + bend) +
                3 * r * q * q * (s.y2 - bend) +
                q ** 3 * s.y2;
            const d = (bx - x) ** 2 + (by - y) ** 2;
            if (d < distance) {
                distance = d;
                best = k;
            }
        }
    }
    return best;
}

/* The interval of a track that a pointer at x means: { i }, { mixed } for a thicket, or null. */
function itemAt(track, x) {
    const t = timeAt(x);
    const part = (app.view.t1 - app.view.t0) / app.size.width;
    if (track.kind === 'mark') {
        const from = firstFrom(track, t - NEAR * part);
        const to = firstFrom(track, t + NEAR * part);
        let best = -1;
        for (let i = from; i < Math.min(to, from + 500); i++) {
            if (best < 0 || Math.abs(track.start[i] - t) < Math.abs(track.start[best] - t)) {
                best = i;
            }
        }
        return to - from > 8 ? { mixed: true } : best >= 0 ? { i: best } : null;
    }
    const x0 = timeAt(Math.floor(x));
    const from = firstAfter(track, x0);
    const to = firstFrom(track, x0 + part);
    if (to - from > 2) {
        return { mixed: true };
    }
    const i = firstAfter(track, t);
    if (i < track.n && track.start[i] <= t) {
        return { i };
    }
    for (const j of [i - 1, i]) {
        if (
            j >= 0 &&
            j < track.n &&
            track.start[j] < t + NEAR * part &&
            track.end[j] > t - NEAR * part
        ) {
            return { i: j };
        }
    }
    return null;
}

/* What is at a place of the stage (CSS pixels); always has x, y and t. */
function hit(x, y) {
    const top = $('scroller').scrollTop;
    const found = { x, y, t: timeAt(x) };
    const kick = arrowNear(x, y, top);
    if (kick >= 0) {
        return { ...found, kick };
    }
    const row = app.rows.find((r) => y + top >= r.y && y + top < r.y + r.h);
    if (!row) {
        return found;
    }
    found.row = row;
    for (const loss of app.model.losses) {
        if (
            found.t >= loss.begin &&
            found.t <= loss.end &&
            loss.source === row.lane.source &&
            (loss.lane < 0 || loss.lane === row.lane.index)
        ) {
            found.loss = loss;
        }
    }
    const inner = y + top - row.y - row.pad;
    const k = row.each ? Math.floor(inner / row.each) : 0;
    const track = row.tracks[Math.max(0, Math.min(row.tracks.length - 1, k))];
    if (track) {
        const item = itemAt(track, x);
        if (item) {
            found.track = track;
            found.i = item.mixed ? -1 : item.i;
        }
    }
    return found;
}

function laneName(index) {
    return app.model.lanes[index] ? app.model.lanes[index].name : '?';
}

function vtimeText(lane, t) {
    const v = virtualTime(lane, t);
    return Number.isNaN(v) ? '' : `${(v / 1e9).toFixed(9)} s`;
}

/* { title, colour, rows: [[key, text]], t0, t1 } of an interval or a moment. */
function describeItem(track, i) {
    const model = app.model;
    const lane = model.lanes[track.lane];
    const name = track.names[track.cls[i]];
    const time = track.end[i] - track.start[i];
    const rows = [];
    if (track.kind === 'state') {
        rows.push(['duration', duration(time)], ['reason', model.texts[track.reason[i]]]);
        rows.push(['on', lane.name]);
        const before = i > 0 ? track.names[track.cls[i - 1]] : '';
        const after = i + 1 < track.n ? track.names[track.cls[i + 1]] : '';
        rows.push([
            'before, after',
            [before, after].map((s) => s || 'nothing recorded').join(', '),
        ]);
        if (i + 1 < track.n) {
            rows.push(['left because', model.texts[track.reason[i + 1]]]);
        }
    } else {
        if (track.kind === 'span') {
            rows.push(['duration', duration(time)]);
        }
        rows.push(['on', `${lane.name}, ${track.label}`]);
        for (const extra of track.extra) {
            const text = extraText(model, extra, i);
            if (text !== '') {
                rows.push([extra.key, text]);
            }
        }
    }
    rows.push([track.kind === 'mark' ? 'at' : 'from', clockText(track.start[i], 1)]);
    if (track.kind !== 'mark') {
        rows.push(['until', clockText(track.end[i], 1)]);
    }
    const v = vtimeText(lane, track.start[i]);
    if (v) {
        rows.push(['virtual time', v]);
    } else if (track.kind === 'state') {
        rows.push(['virtual time', 'not recorded']);
    }
    if (track.kind === 'state') {
        const flags = [
            'began before the trace',
            'not over when the trace ended',
            'events were lost in it',
        ].filter((_, bit) => track.flags[i] & (1 << bit));
        if (flags.length) {
            rows.push(['note', flags.join('; ')]);
        }
    }
    return {
        title: name || '(no name)',
        colour: classColour(track, track.cls[i]),
        rows,
        t0: track.start[i],
        t1: track.end[i],
    };
}

function describeKick(k) {
    const kicks = app.model.kicks;
    const state = app.model.states[kicks.state[k]];
    const taken = kicks.taken[k];
    const from = kicks.from[k] ? laneName(kicks.from[k] - 1) : 'an unknown thread';
    return {
        title: state === 'halted' ? 'wake-up' : 'kick',
        colour: theme.css.arrow,
        rows: [
            ['from', from],
            ['to', laneName(kicks.to[k] - 1)],
            ['cause', app.model.texts[kicks.cause[k]]],
            ['target was', state],
            [
                'took effect',
                Number.isNaN(taken)
                    ? 'not within the trace'
                    : taken === 0
                      ? 'at once: it was out of guest code'
                      : `after ${duration(taken)}`,
            ],
            ...(kicks.merged[k]
                ? [['note', 'an earlier kick was under way; both were taken at once']]
                : []),
            ['sent', clockText(kicks.sent[k], 1)],
        ],
        t0: kicks.sent[k],
        t1: kicks.sent[k] + (taken || 0),
    };
}

/* What a pixel holds that many intervals share. */
function describeMix(track, x) {
    const part = (app.view.t1 - app.view.t0) / app.size.width;
    const around = track.kind === 'mark' ? NEAR : 0;
    const t0 = timeAt(Math.floor(x)) - around * part;
    const t1 = t0 + (1 + 2 * around) * part;
    const n = counts(track, t0, t1, track.names.length);
    const total = n.reduce((a, b) => a + b, 0);
    const out = new Float64Array(track.slots);
    if (track.kind !== 'mark') {
        shares(track, t0, t1, out);
    }
    const order = Array.from(n.keys()).filter((c) => n[c] > 0);
    const weight = (c) => (track.kind === 'state' ? out[track.slot[c]] : n[c]);
    order.sort((a, b) => weight(b) - weight(a));
    const rows = order
        .slice(0, 6)
        .map((c) => [
            track.names[c],
            track.kind === 'state'
                ? `${percent(out[track.slot[c]], t1 - t0)}, ${count(n[c])}\u00d7`
                : `${count(n[c])}\u00d7`,
        ]);
    if (order.length > 6) {
        rows.push(['\u2026', `${order.length - 6} more`]);
    }
    const mix =
        track.kind === 'mark'
            ? []
            : Array.from(out.keys())
                  .filter((s) => out[s] > 0)
                  .map((s) => [slotColour(track, s), out[s] / (t1 - t0)]);
    return {
        title: `${count(total)} ${track.kind === 'mark' ? 'moments' : 'intervals'} in ${duration(t1 - t0)}`,
        colour: null,
        rows,
        mix,
        t0,
        t1,
    };
}

function describe(h) {
    if (h.kick !== undefined) {
        return describeKick(h.kick);
    }
    if (!h.track) {
        return null;
    }
    return h.i >= 0 ? describeItem(h.track, h.i) : describeMix(h.track, h.x);
}

function descriptionList(d) {
    return el(
        'dl',
        {},
        d.rows.map(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]),
    );
}

function showTip(h, clientX, clientY) {
    const tip = $('tip');
    const d = describe(h);
    if (!d && !h.loss) {
        tip.hidden = true;
        return;
    }
    tip.textContent = '';
    if (h.loss) {
        tip.append(
            el('b', {}, swatch(theme.css.lost), `${count(h.loss.count)} events lost`),
            el(
                'div',
                { class: 'soft' },
                `within ${duration(h.loss.end - h.loss.begin)}: ` +
                    'what happened here the trace cannot say',
            ),
        );
    }
    if (d) {
        tip.append(el('b', {}, d.colour ? swatch(d.colour) : null, d.title));
        if (d.mix && d.mix.length) {
            tip.append(
                el(
                    'div',
                    { class: 'mix' },
                    d.mix.map(([colour, share]) =>
                        el('i', {
                            style: { background: colour, width: `${100 * share}%` },
                        }),
                    ),
                ),
            );
        }
        tip.append(descriptionList(d));
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = clientX + 16 + box.width < innerWidth ? clientX + 16 : clientX - 12 - box.width;
    const under = clientY + 18 + box.height < innerHeight;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${under ? clientY + 18 : Math.max(4, clientY - 12 - box.height)}px`;
}

function hideTip() {
    $('tip').hidden = true;
}

function select(what) {
    app.selected = what;
    drawDetail();
    redraw('over');
}

function drawDetail() {
    const pane = $('detail');
    pane.textContent = '';
    if (!app.selected) {
        pane.append(
            el(
                'p',
                { class: 'soft' },
                'Click an interval, a moment or an arrow: what it was, why, ' +
                    'and for how long stands here. Drag across the lanes for the statistics of a range.',
            ),
        );
        return;
    }
    const d = app.selected.track
        ? describeItem(app.selected.track, app.selected.i)
        : describeKick(app.selected.kick);
    pane.append(
        el('h2', {}, swatch(d.colour), d.title),
        descriptionList(d),
        el(
            'p',
            {},
            el('button', { onclick: () => showSpan(d.t0, d.t1) }, 'Zoom to it'),
            ' ',
            el('button', { onclick: () => select(null) }, 'Close'),
        ),
    );
}
