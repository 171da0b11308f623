/* SPDX-License-Identifier: MIT
 *
 * What is looked at: the time window, the lanes and their rows, and what is chosen. The idea to
 * hold: everything on the page is a function of `app`; whoever changes it calls redraw(), which
 * paints once before the next frame however often it is called.
 */

const MIN_SPAN = 40; /* ns: nothing in a trace is finer than the clock */

const app = {
    model: null,
    view: { t0: 0, t1: 1 },
    history: [],
    moved: -1e9 /* when the wheel or a drag last moved the view */,
    rows: [],
    height: 0 /* of all rows, CSS pixels */,
    open: new Set() /* lanes whose sub-lanes are shown */,
    hidden: new Set() /* states */,
    arrows: true,
    range: null /* { t0, t1 } */,
    selected: null /* { track, i } or { kick } */,
    hover: null /* what hit() returned, with x and y */,
    focus: 0 /* index of the row the keyboard is on */,
    tab: 'range',
    search: { text: '', n: 0, at: -1, current: null, tracks: new Map(), ticks: [] },
    kicksShown: [] /* those drawn as arrows of their own */,
    size: { width: 1, height: 1, ratio: 1, label: 176 },
};

let frame = 0;
let animation = 0;
let panelTimer = 0;
const stale = { base: true, over: true, panel: true };

/* The panel's tables cost more than the picture: they wait until the hand rests. */
function redraw(what = 'base') {
    if (what === 'panel') {
        clearTimeout(panelTimer);
        panelTimer = setTimeout(() => {
            stale.panel = true;
            schedule();
        }, 60);
        return;
    }
    stale[what] = true;
    schedule();
}

function schedule() {
    if (!frame) {
        frame = requestAnimationFrame(() => {
            frame = 0;
            paint();
        });
    }
}

function timeAt(x) {
    const { t0, t1 } = app.view;
    return t0 + ((t1 - t0) * x) / app.size.width;
}

function xAt(t) {
    const { t0, t1 } = app.view;
    return ((t - t0) / (t1 - t0)) * app.size.width;
}

function clampView(t0, t1) {
    const { begin, end } = app.model;
    const span = Math.min(Math.max(t1 - t0, MIN_SPAN), end - begin);
    const from = Math.min(Math.max(t0 + (t1 - t0 - span) / 2, begin), end - span);
    return { t0: from, t1: from + span };
}

/* The view before is kept for "back"; the many steps of a wheel or a drag (`flow`) are one. */
function remember(flow) {
    const now = performance.now();
    if (!flow || now - app.moved > 700) {
        app.history.push({ ...app.view });
        if (app.history.length > 200) {
            app.history.shift();
        }
    }
    app.moved = flow ? now : -1e9;
}

function setView(t0, t1, options = {}) {
    const to = clampView(t0, t1);
    if (options.remember !== false) {
        remember(options.flow);
    }
    cancelAnimationFrame(animation);
    animation = 0;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    if (!options.glide || calm) {
        app.view = to;
        redraw();
        redraw('panel');
        return;
    }
    const from = { ...app.view };
    const begin = performance.now();
    const step = (now) => {
        const p = Math.min(1, (now - begin) / 160);
        const q = 1 - (1 - p) ** 3;
        app.view = { t0: from.t0 + (to.t0 - from.t0) * q, t1: from.t1 + (to.t1 - from.t1) * q };
        if (p < 1) {
            animation = requestAnimationFrame(step);
        } else {
            app.view = to;
            animation = 0;
            redraw('panel');
        }
        redraw();
    };
    animation = requestAnimationFrame(step);
}

function zoomAt(factor, t, options) {
    const { t0, t1 } = app.view;
    setView(t - (t - t0) * factor, t + (t1 - t) * factor, options);
}

function panBy(share, options) {
    const { t0, t1 } = app.view;
    setView(t0 + (t1 - t0) * share, t1 + (t1 - t0) * share, options);
}

function fitAll() {
    setView(app.model.begin, app.model.end, { glide: true });
}

function goBack() {
    const last = app.history.pop();
    if (last) {
        setView(last.t0, last.t1, { glide: true, remember: false });
    }
}

/* Puts [t0, t1] into the middle third of the picture. */
function showSpan(t0, t1) {
    const span = Math.max(t1 - t0, MIN_SPAN / 2, 1);
    setView(t0 - span, t1 + span, { glide: true });
}

/* Like showSpan, but keeps the zoom when the span is visible in it at all. */
function bringIn(t0, t1) {
    const { t0: a, t1: b } = app.view;
    const width = b - a;
    if (t1 - t0 > width * 0.9 || (t1 - t0) * 400 < width) {
        showSpan(t0, t1);
    } else if (t0 < a || t1 > b) {
        setView((t0 + t1 - width) / 2, (t0 + t1 + width) / 2, { glide: true });
    }
}

/* ---- Rows ---- */

/* A lane's tracks but its states, in groups of one label. */
function subTracks(lane) {
    const groups = [];
    for (const track of app.model.tracks) {
        if (track.lane !== lane.index || track.kind === 'state') {
            continue;
        }
        const group = groups.find((g) => g.label === track.label);
        if (group) {
            group.tracks.push(track);
        } else {
            groups.push({ label: track.label, tracks: [track] });
        }
    }
    return groups;
}

/* The states' bands take what room the other rows leave, within reason. */
function layout() {
    const vcpus = app.model.lanes.filter((l) => l.state).length;
    const band = vcpus <= 2 ? 44 : vcpus <= 4 ? 38 : vcpus <= 8 ? 30 : 24;
    placeRows(band);
    const spare = app.size.height - app.height - 2;
    if (spare > 0 && vcpus) {
        placeRows(Math.min(104, band + Math.floor(spare / vcpus)));
    }
    app.focus = Math.min(app.focus, app.rows.length - 1);
    $('spacer').style.height = `${app.height}px`;
    $('labels').style.height = `${Math.max(app.height, app.size.height)}px`;
    drawLabels();
    redraw();
}

function placeRows(band) {
    let y = 0;
    app.rows = [];
    const add = (row) => {
        row.y = y;
        y += row.h;
        app.rows.push(row);
    };
    for (const lane of app.model.lanes) {
        const groups = lane.groups || (lane.groups = subTracks(lane));
        if (!lane.state && groups.length === 0) {
            continue;
        }
        const open = app.open.has(lane.index);
        if (lane.state) {
            add({ head: true, lane, tracks: [lane.state], h: band + 14, pad: 9 });
        } else {
            const most = groups.reduce((a, b) => (b.tracks[0].n > a.tracks[0].n ? b : a));
            add({
                head: true,
                lane,
                tracks: open ? [] : most.tracks.slice(0, 1),
                h: open ? 24 : 36,
                pad: 8,
                label: most.label,
            });
        }
        for (const group of groups) {
            if (open || (group.label === 'task' && lane.state)) {
                const each = group.tracks.length > 1 ? 11 : 15;
                add({
                    head: false,
                    lane,
                    label: group.label,
                    tracks: group.tracks,
                    each,
                    h: each * group.tracks.length + 4,
                    pad: 2,
                });
            }
        }
    }
    app.height = y + 6;
}

/* The height that all rows would need when every lane is open. */
function openAllIfRoom() {
    const lanes = app.model.lanes.map((l) => l.index);
    app.open = new Set(lanes);
    layout();
    if (app.height > app.size.height && app.model.lanes.length > 1) {
        app.open = new Set();
        layout();
        const first = app.model.lanes[0];
        if (first && first.state) {
            app.open.add(first.index);
            layout();
            if (app.height > app.size.height * 1.1) {
                app.open.delete(first.index);
                layout();
            }
        }
    }
}

function toggleLane(lane) {
    if (!app.open.delete(lane.index)) {
        app.open.add(lane.index);
    }
    layout();
}

function headRow(laneIndex) {
    return app.rows.find((r) => r.head && r.lane.index === laneIndex);
}

function drawLabels() {
    const labels = $('labels');
    labels.textContent = '';
    app.rows.forEach((row, index) => {
        const place = { top: `${row.y}px`, height: `${row.h}px` };
        const focus = index === app.focus ? ' focus' : '';
        if (row.head) {
            const lane = row.lane;
            const groups = lane.groups.length;
            const open = app.open.has(lane.index);
            const name = lane.vcpu
                ? lane.name
                : lane.name.replace(new RegExp(`[ (]*${lane.tid}[)]?$`), '');
            const what = [lane.accel, lane.tid > 0 ? `thread ${lane.tid}` : '']
                .filter(Boolean)
                .join(' \u00b7 ');
            labels.append(
                el(
                    'div',
                    {
                        class: `label head${lane.state ? '' : ' thread'}${open ? ' open' : ''}${groups ? '' : ' bare'}${focus}`,
                        style: place,
                        title: `${lane.name}${what ? `, ${what}` : ''}: ${open ? 'close' : 'open'} its sub-lanes (E)`,
                        onclick: () => {
                            app.focus = index;
                            toggleLane(lane);
                        },
                    },
                    el('b', {}, name),
                    row.h > 40 || (!lane.state && !open)
                        ? el(
                              'span',
                              {},
                              lane.state
                                  ? what
                                  : `${row.label}${groups > 1 ? `, ${groups - 1} more` : ''}`,
                          )
                        : null,
                ),
            );
        } else {
            const n = row.tracks.reduce((sum, t) => sum + t.n, 0);
            const dropped = row.tracks[0].dropped;
            labels.append(
                el(
                    'div',
                    {
                        class: `label sub${focus}`,
                        style: { ...place, lineHeight: `${Math.min(row.h, 18)}px` },
                        title:
                            `${row.label}: ${row.tracks[0].about} (${count(n)})` +
                            (dropped
                                ? `; ${count(dropped)} more overlap too deeply to be drawn`
                                : ''),
                        onclick: () => {
                            app.focus = index;
                            drawLabels();
                        },
                    },
                    `${row.label}${dropped ? ` (+${dropped})` : ''}`,
                ),
            );
        }
    });
}
