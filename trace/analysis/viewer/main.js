/* SPDX-License-Identifier: MIT
 *
 * The page starts here. The idea to hold: read, lay out, listen; from then on everything is
 * redraw(). `orreryTimeline` is for scripts that drive the page, the browser test among them.
 */

function measure() {
    const box = $('stage').getBoundingClientRect();
    app.size = { width: Math.max(1, box.width), height: box.height, ratio: devicePixelRatio || 1 };
    if (app.rows.length) {
        layout();
    }
    redraw();
}

function preferredDark() {
    try {
        const kept = localStorage.getItem('orrery-timeline-theme');
        if (kept) {
            return kept === 'dark';
        }
    } catch {
        /* no storage */
    }
    return matchMedia('(prefers-color-scheme: dark)').matches;
}

/* Resolves once nothing moves any more and all is painted. */
async function settled() {
    const nextFrame = () =>
        new Promise((resolve) => {
            requestAnimationFrame(resolve);
        });
    await new Promise((resolve) => {
        setTimeout(resolve, 80);
    });
    do {
        await nextFrame();
    } while (animation || frame || stale.base || stale.panel);
    await nextFrame();
}

function trackOf(lane, label) {
    return app.model.tracks.find((t) => t.lane === lane && t.label === label);
}

const scripting = {
    ready: false,
    error: '',
    settled,
    view: () => ({ ...app.view }),
    setView: (t0, t1) => setView(t0, t1),
    bounds: () => ({
        begin: app.model.begin,
        end: app.model.end,
        events: app.model.nEvents,
        lost: app.model.nLost,
    }),
    lanes: () =>
        app.model.lanes.map((l) => ({
            name: l.name,
            vcpu: l.vcpu,
            sums: l.sums,
            tracks: l.groups.map((g) => g.label),
        })),
    rows: () =>
        app.rows.map((r) => ({
            lane: r.lane.name,
            head: r.head,
            label: r.label || '',
            y: r.y,
            h: r.h,
        })),
    sums: (t0, t1) =>
        stateTimes(t0, t1).map((s) => ({
            lane: s.lane.name,
            ns: Array.from(s.ns),
            n: Array.from(s.n),
        })),
    states: () => app.model.states,
    xAt,
    timeAt,
    hit: (x, y) => {
        const d = describe(hit(x, y));
        return d && { title: d.title, rows: d.rows, t0: d.t0, t1: d.t1 };
    },
    interval: (lane, i, label = 'state') => {
        const t = trackOf(lane, label);
        return t && i < t.n
            ? { start: t.start[i], end: t.end[i], name: t.names[t.cls[i]], n: t.n }
            : null;
    },
    kicks: () => ({ n: app.model.kicks.n, shown: app.kicksShown.length }),
    kick: (k) => describeKick(k),
    search: () => ({ text: app.search.text, n: app.search.n, at: app.search.at }),
    selected: () =>
        app.selected &&
        (app.selected.track
            ? describeItem(app.selected.track, app.selected.i)
            : describeKick(app.selected.kick)),
    delays: (t0, t1) =>
        kickDelays(t0, t1).map((rows) => rows && rows.map(([lane, ns]) => [lane, Array.from(ns)])),
    losses: () => app.model.losses,
    range: () => app.range && { ...app.range },
};
window.orreryTimeline = scripting;

async function start() {
    setTheme(preferredDark());
    app.model = await loadModel($('payload').textContent);
    $('payload').textContent = '';
    document.title = `${app.model.title} \u2013 vCPU timeline`;
    $('title').textContent = `vCPU timeline: ${app.model.title}`;
    app.view = { t0: app.model.begin, t1: app.model.end };
    $('busy').hidden = true;
    buildLegend();
    drawLegend();
    measure();
    openAllIfRoom();
    drawDetail();
    listen();
    redraw('panel');
    $('stage').focus({ preventScroll: true });
    await settled();
    scripting.ready = true;
}

start().catch((e) => {
    scripting.error = String((e && e.stack) || e);
    $('busy').hidden = false;
    $('busy').classList.add('bad');
    $('busy').textContent = `The trace in this page cannot be read: ${(e && e.message) || e}`;
    throw e;
});
