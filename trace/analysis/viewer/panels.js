/* SPDX-License-Identifier: MIT
 *
 * The legend, the tables below the picture, and the status line. The idea to hold: every table is
 * about one stretch of time, the selected range or else what is in view, and says which.
 */

const TABS = [
    ['range', 'Time per state'],
    ['waits', 'Longest waits'],
    ['latency', 'Wake-ups and kicks'],
    ['names', 'Sub-lanes'],
    ['found', 'Search results'],
    ['trace', 'Trace'],
];
const MAX_ROWS = 100;

function stretch() {
    return app.range || app.view;
}

function stretchName() {
    const { t0, t1 } = stretch();
    return `${app.range ? 'Selected' : 'In view'}: ${duration(t1 - t0)} from ${clockText(t0, (t1 - t0) / 1000)}`;
}

/* Nanoseconds per state of each vCPU within [t0, t1). */
function stateTimes(t0, t1) {
    return app.model.lanes
        .filter((l) => l.state)
        .map((lane) => {
            const out = new Float64Array(app.model.states.length);
            shares(lane.state, t0, t1, out);
            return { lane, ns: out, n: counts(lane.state, t0, t1, out.length) };
        });
}

/* How much of [t0, t1) the lane's recorder lost events in. */
function lostTime(lane, t0, t1) {
    let sum = 0;
    let until = t0;
    for (const loss of app.model.losses) {
        if (loss.source === lane.source && (loss.lane < 0 || loss.lane === lane.index)) {
            const from = Math.max(loss.begin, until);
            const to = Math.min(loss.end, t1);
            sum += Math.max(0, to - from);
            until = Math.max(until, to);
        }
    }
    return sum;
}

function legendEntry(name) {
    return el(
        'button',
        {
            class: 'chip',
            'data-state': name,
            'aria-pressed': 'true',
            title: `${name}: ${STATE_STYLE[name].about}. Click to hide or show; double-click for it alone`,
            onclick: () => toggleState(name),
            ondblclick: () => soloState(name),
        },
        swatch('transparent'),
        el('span', {}, name),
        el('span', { class: 'share' }),
    );
}

function buildLegend() {
    const ever = (name) =>
        app.model.lanes.some((l) => l.sums && l.sums[app.model.states.indexOf(name)] > 0);
    $('legend').append(
        ...STACK.filter((n) => app.model.states.includes(n) && (n !== 'unknown' || ever(n))).map(
            legendEntry,
        ),
    );
    if (app.model.kicks.n) {
        const key = (css, dashed, text, title) =>
            el(
                'span',
                { class: 'key', title },
                el('i', { class: dashed ? 'dashed' : '', style: { borderColor: `var(--${css})` } }),
                text,
            );
        $('keys-of-arrows').append(
            key(
                'arrow',
                false,
                'kick',
                'from who kicked, when it was sent, to whom, when it took effect',
            ),
            key(
                'accent',
                false,
                'wake-up',
                'a kick that met a halted vCPU; dashed where it was merged with an earlier one',
            ),
        );
    }
}

function drawLegend() {
    const { t0, t1 } = app.view;
    const times = new Float64Array(app.model.states.length);
    const out = new Float64Array(app.model.states.length);
    let whole = 0;
    for (const lane of app.model.lanes) {
        if (lane.state) {
            shares(lane.state, t0, t1, out);
            out.forEach((v, s) => {
                times[s] += v;
                whole += v;
            });
        }
    }
    for (const chip of $('legend').querySelectorAll('.chip')) {
        const name = chip.dataset.state;
        const s = app.model.states.indexOf(name);
        const ever = app.model.lanes.some((l) => l.sums && l.sums[s] > 0);
        chip.querySelector('.swatch').style.background = stateColour(name);
        chip.querySelector('.share').textContent =
            ever && times[s] > 0 ? percent(times[s], whole) : '';
        chip.classList.toggle('off', app.hidden.has(name));
        chip.classList.toggle('never', !ever);
        chip.setAttribute('aria-pressed', String(!app.hidden.has(name)));
    }
}

function toggleState(name) {
    if (!app.hidden.delete(name)) {
        app.hidden.add(name);
    }
    redraw();
}

function soloState(name) {
    const others = app.model.states.filter((s) => s !== name);
    const alone = others.every((s) => app.hidden.has(s));
    app.hidden = new Set(alone ? [] : others);
    redraw();
}

/* ---- Tables ---- */

const TEXT_COLUMNS = ['what', 'where', 'why', 'name', 'from', 'to'];

function table(head, rows) {
    return el(
        'table',
        {},
        el(
            'thead',
            {},
            el(
                'tr',
                {},
                head.map((h) =>
                    el(
                        'th',
                        {
                            scope: 'col',
                            class: TEXT_COLUMNS.includes(h) ? 'left' : '',
                        },
                        h,
                    ),
                ),
            ),
        ),
        el('tbody', {}, rows),
    );
}

function rangeTable() {
    const { t0, t1 } = stretch();
    const times = stateTimes(t0, t1);
    if (!times.length) {
        return el(
            'p',
            { class: 'soft' },
            'The trace holds no vCPU states (event cpus:vcpu_state).',
        );
    }
    const cell = (ns, whole, n) =>
        el(
            'td',
            { 'data-ns': String(Math.round(ns)) },
            ns > 0 || n > 0
                ? [duration(ns), el('span', { class: 'pct' }, percent(ns, whole))]
                : '\u2013',
        );
    const rows = STACK.map((name) => [name, app.model.states.indexOf(name)])
        .filter(([, s]) => s >= 0 && times.some((t) => t.ns[s] > 0 || t.n[s] > 0))
        .map(([name, s]) =>
            el(
                'tr',
                { 'data-state': name },
                el('td', {}, swatch(stateColour(name)), name),
                times.map((t) => [
                    cell(t.ns[s], t1 - t0, t.n[s]),
                    el('td', { class: 'soft' }, `${count(t.n[s])}\u00d7`),
                ]),
            ),
        );
    rows.push(
        el(
            'tr',
            { class: 'sum' },
            el('td', {}, 'recorded'),
            times.map((t) => [
                cell(
                    t.ns.reduce((a, b) => a + b, 0),
                    t1 - t0,
                    1,
                ),
                el('td', { class: 'soft' }, `${count(t.n.reduce((a, b) => a + b, 0))}\u00d7`),
            ]),
        ),
    );
    const lost = times.map(({ lane }) => lostTime(lane, t0, t1));
    if (lost.some((v) => v > 0)) {
        rows.push(
            el(
                'tr',
                { title: 'What is counted above for this time is what was so before it' },
                el('td', { class: 'soft' }, 'in it: events lost'),
                lost.map((v) => [el('td', {}, duration(v)), el('td')]),
            ),
        );
    }
    const vt = times.map(({ lane }) => virtualSpan(lane, t0, t1));
    if (vt.some((v) => !Number.isNaN(v))) {
        rows.push(
            el(
                'tr',
                {},
                el('td', { class: 'soft' }, 'virtual time'),
                vt.map((v) => [el('td', {}, Number.isNaN(v) ? '\u2013' : duration(v)), el('td')]),
            ),
        );
    }
    return table(['state', ...times.flatMap((t) => [t.lane.name, ''])], rows);
}

/* The longest of what is waited for: states, and kicks on their way. */
function longestWaits(which) {
    const { t0, t1 } = stretch();
    let found = [];
    const keep = (wait) => {
        found.push(wait);
        if (found.length > 5000) {
            found.sort((a, b) => b.time - a.time);
            found = found.slice(0, MAX_ROWS);
        }
    };
    for (const lane of app.model.lanes) {
        const track = lane.state;
        if (!track) {
            continue;
        }
        const wanted = track.names.map((n) =>
            which === 'waits' ? WAIT_STATES.includes(n) : n === which,
        );
        const to = firstFrom(track, t1);
        for (let i = firstAfter(track, t0); i < to; i++) {
            if (wanted[track.cls[i]]) {
                keep({
                    track,
                    i,
                    t: track.start[i],
                    time: track.end[i] - track.start[i],
                    lane,
                    what: track.names[track.cls[i]],
                    why: app.model.texts[track.reason[i]],
                    colour: classColour(track, track.cls[i]),
                });
            }
        }
    }
    if (which === 'waits' || which === 'kicks') {
        for (const k of kicksInView(t0, t1)) {
            const kicks = app.model.kicks;
            if (kicks.kind[k]) {
                keep({
                    kick: k,
                    t: kicks.sent[k],
                    time: kicks.taken[k],
                    colour: theme.css.arrow,
                    lane: app.model.lanes[kicks.to[k] - 1],
                    what: kicks.kind[k] === 1 ? 'wake-up' : 'leaving guest code',
                    why: app.model.texts[kicks.cause[k]],
                });
            }
        }
    }
    if (which === 'waits' || which === 'interrupts') {
        pendingInterrupts(t0, t1, keep);
    }
    return found.sort((a, b) => b.time - a.time).slice(0, MAX_ROWS);
}

/* Interrupts from raised to delivered. */
function pendingInterrupts(t0, t1, keep) {
    for (const track of app.model.tracks.filter((t) => t.label === 'interrupts')) {
        const after = track.extra.find((e) => e.key === 'delivered after').values;
        const to = firstFrom(track, t1);
        for (let i = firstAfter(track, t0); i < to; i++) {
            if (after[i] > 0) {
                keep({
                    track,
                    i,
                    t: track.start[i],
                    time: after[i],
                    lane: app.model.lanes[track.lane],
                    what: 'interrupt pending',
                    why: track.names[track.cls[i]],
                    colour: classColour(track, track.cls[i]),
                });
            }
        }
    }
}

function waitsTable() {
    const kinds = [
        'waits',
        'kicks',
        'interrupts',
        ...WAIT_STATES,
        'halted',
        'device',
        'exclusive',
        'unknown',
    ].filter(
        (k) =>
            k === 'waits' ||
            k === 'kicks' ||
            (k === 'interrupts' && app.model.tracks.some((t) => t.label === k)) ||
            app.model.lanes.some((l) => l.sums && l.sums[app.model.states.indexOf(k)] > 0),
    );
    app.waitKind = kinds.includes(app.waitKind) ? app.waitKind : 'waits';
    const waits = longestWaits(app.waitKind);
    const bar = el(
        'p',
        { style: { margin: '0 0 4px' } },
        kinds.map((k) => [
            el(
                'button',
                {
                    'aria-pressed': String(k === app.waitKind),
                    onclick: () => {
                        app.waitKind = k;
                        redraw('panel');
                    },
                },
                k === 'waits' ? 'all waits' : k,
            ),
            ' ',
        ]),
    );
    const rows = waits.map((w, n) =>
        el(
            'tr',
            {
                class: 'jump',
                tabindex: 0,
                'data-ns': String(w.time),
                onclick: () => jumpTo(w),
                onkeydown: (e) => e.key === 'Enter' && jumpTo(w),
            },
            el('td', {}, String(n + 1)),
            el('td', {}, duration(w.time)),
            el('td', { class: 'left' }, swatch(w.colour), w.what),
            el('td', { class: 'left' }, w.lane ? w.lane.name : '?'),
            el('td', { class: 'left' }, w.why),
            el('td', {}, clockText(w.t, 1000)),
        ),
    );
    return [
        bar,
        waits.length
            ? table(['', 'time', 'what', 'where', 'why', 'at'], rows)
            : el('p', { class: 'soft' }, 'Nothing of the kind in this stretch.'),
    ];
}

function jumpTo(w) {
    if (w.track) {
        showSpan(w.track.start[w.i], w.track.end[w.i]);
        reveal({ track: w.track, i: w.i });
    } else {
        showSpan(w.t, w.t + w.time);
        select({ kick: w.kick });
    }
}

function latencyRow(name, values) {
    const q = (p) => el('td', {}, quantileText(values, p));
    return el(
        'tr',
        {},
        el('td', {}, name),
        el('td', {}, count(values.length)),
        q(0.5),
        q(0.9),
        q(0.99),
        q(1),
    );
}

/*
 * Sorted delays of the kicks sent in [t0, t1), by kind and vCPU: those that `orrery-trace sched`
 * counts.
 */
function kickDelays(t0, t1) {
    const kicks = app.model.kicks;
    const delays = [null, new Map(), new Map()];
    for (let k = firstFrom(kicks, t0); k < kicks.n && kicks.sent[k] < t1; k++) {
        const kind = kicks.kind[k];
        if (kind) {
            const to = laneName(kicks.to[k] - 1);
            delays[kind].set(to, delays[kind].get(to) || []);
            delays[kind].get(to).push(kicks.taken[k]);
        }
    }
    return delays.map(
        (map) =>
            map &&
            [...map]
                .sort((a, b) => a[0].localeCompare(b[0]))
                .map(([name, values]) => [name, Float64Array.from(values).sort()]),
    );
}

function kickMatrix(t0, t1) {
    const kicks = app.model.kicks;
    const pairs = new Map();
    for (let k = firstFrom(kicks, t0); k < kicks.n && kicks.sent[k] < t1; k++) {
        const key = kicks.from[k] * 65536 + kicks.to[k];
        const pair = pairs.get(key) || {
            from: kicks.from[k],
            to: kicks.to[k],
            n: 0,
            why: new Map(),
        };
        const cause = app.model.texts[kicks.cause[k]];
        pair.n++;
        pair.why.set(cause, (pair.why.get(cause) || 0) + 1);
        pairs.set(key, pair);
    }
    return [...pairs.values()].sort((a, b) => b.n - a.n);
}

function latencyTables() {
    const { t0, t1 } = stretch();
    const [, wakes, kicks] = kickDelays(t0, t1);
    const pairs = kickMatrix(t0, t1);
    if (!pairs.length) {
        return el('p', { class: 'soft' }, 'No kick in this stretch.');
    }
    const head = ['', 'number', 'median', '90 %', '99 %', 'longest'];
    const delays = (title, rows) =>
        el(
            'div',
            {},
            el('h3', {}, title),
            rows.length
                ? table(
                      head,
                      rows.map(([name, values]) => latencyRow(name, values)),
                  )
                : el('p', { class: 'soft' }, 'none'),
        );
    const why = (causes) =>
        [...causes]
            .sort((a, b) => b[1] - a[1])
            .map(([cause, n]) => `${cause} ${count(n)}`)
            .join(', ');
    const who = pairs.map((p) =>
        el(
            'tr',
            {},
            el('td', {}, laneName(p.from - 1)),
            el('td', { class: 'left' }, laneName(p.to - 1)),
            el('td', {}, count(p.n)),
            el('td', { class: 'left' }, why(p.why)),
        ),
    );
    return el(
        'div',
        { class: 'side' },
        delays('Wake-up: from the kick of a halted vCPU until it is awake', wakes),
        delays('Preemption: from the kick of a vCPU in guest code until it is out', kicks),
        el('div', {}, el('h3', {}, 'Who kicks whom'), table(['from', 'to', 'number', 'why'], who)),
    );
}

/* What the sub-lanes hold in this stretch, by name. */
function namesTable() {
    const { t0, t1 } = stretch();
    const sums = new Map();
    for (const track of app.model.tracks) {
        if (track.kind === 'state') {
            continue;
        }
        const from = track.kind === 'mark' ? firstFrom(track, t0) : firstAfter(track, t0);
        const to = firstFrom(track, t1);
        for (let i = from; i < to; i++) {
            const key = `${track.label}\n${track.names[track.cls[i]]}`;
            let sum = sums.get(key);
            if (!sum) {
                sum = { n: 0, ns: 0, longest: -1, marks: track.kind === 'mark' };
                sums.set(key, sum);
            }
            const time = Math.min(track.end[i], t1) - Math.max(track.start[i], t0);
            sum.n++;
            sum.ns += time;
            if (time > sum.longest) {
                Object.assign(sum, { longest: time, track, i });
            }
        }
    }
    const order = [...sums].sort((a, b) => b[1].ns - a[1].ns || b[1].n - a[1].n).slice(0, MAX_ROWS);
    const rows = order.map(([key, s]) => {
        const [label, name] = key.split('\n');
        return el(
            'tr',
            { class: 'jump', title: 'Show the longest', onclick: () => reveal(s) },
            el('td', {}, label),
            el('td', { class: 'left' }, swatch(classColour(s.track, s.track.cls[s.i])), name),
            el('td', {}, count(s.n)),
            el('td', {}, s.marks ? '' : duration(s.ns)),
            el('td', {}, s.marks ? '' : duration(s.ns / s.n)),
            el('td', {}, s.marks ? '' : duration(s.longest)),
        );
    });
    return rows.length
        ? table(['sub-lane', 'name', 'number', 'time', 'mean', 'longest'], rows)
        : el('p', { class: 'soft' }, 'Nothing of the sub-lanes in this stretch.');
}

function foundTable() {
    const s = app.search;
    if (!s.n) {
        return el(
            'p',
            { class: 'soft' },
            s.text ? 'Nothing found.' : 'Type in the search field (key /).',
        );
    }
    const from = Math.max(0, Math.min(s.at - 20, s.n - MAX_ROWS));
    const rows = [];
    for (let k = from; k < Math.min(s.n, from + MAX_ROWS); k++) {
        const h = hitNumber(k);
        const d = h.track ? describeItem(h.track, h.i) : describeKick(h.kick);
        const where = h.track
            ? `${laneName(h.track.lane)}${h.track.kind === 'state' ? '' : `, ${h.track.label}`}`
            : laneName(app.model.kicks.to[h.kick] - 1);
        const detail = d.rows
            .filter(
                ([key]) =>
                    ![
                        'duration',
                        'on',
                        'from',
                        'until',
                        'at',
                        'to',
                        'sent',
                        'before, after',
                        'left because',
                        'virtual time',
                    ].includes(key),
            )
            .map(([key, v]) => (key === 'reason' ? v : `${key} ${v}`))
            .join(', ');
        rows.push(
            el(
                'tr',
                { class: `jump${k === s.at ? ' on' : ''}`, onclick: () => goToHit(k) },
                el('td', {}, count(k + 1)),
                el('td', {}, clockText(h.t, 1000)),
                el('td', { class: 'left' }, swatch(d.colour), d.title),
                el('td', { class: 'left' }, where),
                el('td', {}, d.t1 > d.t0 ? duration(d.t1 - d.t0) : ''),
                el('td', { class: 'left' }, detail),
            ),
        );
    }
    return [
        s.n > rows.length
            ? el(
                  'p',
                  { class: 'soft', style: { margin: '0 0 4px' } },
                  `${count(from + 1)} to ${count(from + rows.length)} of ${count(s.n)}`,
              )
            : null,
        table(['', 'at', 'what', 'where', 'time', ''], rows),
    ];
}

function traceTable() {
    const m = app.model;
    const lines = m.sources.map((s) =>
        el(
            'div',
            {},
            el('h3', {}, s.path),
            el(
                'div',
                {},
                [
                    s.recorder && `recorder ${s.recorder}`,
                    s.host && `host ${s.host}`,
                    s.pid > 0 && `process ${s.pid}`,
                    s.created && `created ${s.created}`,
                    s.flight && 'flight recording: begins in the middle',
                    s.truncated && 'cut off at its end',
                ]
                    .filter(Boolean)
                    .join(', '),
            ),
            el('pre', { class: 'soft', style: { margin: '2px 0' } }, s.environment),
        ),
    );
    const losses = m.losses
        .slice(0, MAX_ROWS)
        .map((l) =>
            el(
                'tr',
                { class: 'jump', onclick: () => showSpan(l.begin, l.end) },
                el('td', {}, count(l.count)),
                el('td', {}, l.lane >= 0 ? laneName(l.lane) : 'any lane'),
                el('td', {}, clockText(l.begin, 1000)),
                el('td', {}, duration(l.end - l.begin)),
            ),
        );
    const seconds = m.epoch / 1000000000n;
    const when = new Date(Number(seconds) * 1000);
    const events = m.events
        .slice()
        .sort((a, b) => b.count - a.count)
        .map((e) =>
            el(
                'tr',
                {},
                el('td', {}, e.name),
                el('td', {}, count(e.count)),
                el('td', { class: 'left soft' }, e.known ? '' : 'not known to this tool'),
            ),
        );
    return el(
        'div',
        { class: 'side' },
        el(
            'div',
            {},
            el(
                'p',
                { style: { margin: 0 } },
                `${count(m.nEvents)} events in ${duration(m.end - m.begin)}. ` +
                    `Time 0 is ${Number.isNaN(when.getTime()) ? '?' : when.toISOString().replace('T', ' ').replace('.000Z', ' UTC')}` +
                    ` + ${m.epoch % 1000000000n} ns.`,
            ),
            lines,
        ),
        losses.length
            ? el(
                  'div',
                  {},
                  el('h3', {}, 'Events lost'),
                  table(['number', 'where', 'at', 'within'], losses),
              )
            : null,
        el('div', {}, el('h3', {}, 'Events'), table(['event', 'number', ''], events)),
    );
}

function drawPanel() {
    const tabs = $('tabs');
    if (!tabs.children.length) {
        tabs.append(
            ...TABS.map(([id, label]) =>
                el('button', { role: 'tab', 'data-tab': id, onclick: () => openTab(id) }, label),
            ),
            el('span', {
                id: 'stretch',
                class: 'soft',
                style: { marginLeft: 'auto', alignSelf: 'center' },
            }),
        );
    }
    for (const b of tabs.querySelectorAll('button')) {
        b.setAttribute('aria-selected', String(b.dataset.tab === app.tab));
    }
    $('stretch').textContent = ['found', 'trace'].includes(app.tab) ? '' : stretchName();
    const pane = $('table');
    const make = {
        range: rangeTable,
        waits: waitsTable,
        latency: latencyTables,
        names: namesTable,
        found: foundTable,
        trace: traceTable,
    }[app.tab];
    const top = pane.dataset.tab === app.tab ? pane.scrollTop : 0;
    pane.textContent = '';
    pane.append(...[make()].flat().filter(Boolean));
    pane.dataset.tab = app.tab;
    pane.scrollTop = top;
    const on = pane.querySelector('tr.on');
    if (on) {
        on.scrollIntoView({ block: 'nearest' });
    }
}

function openTab(id) {
    app.tab = id;
    redraw('panel');
}

function drawStatus() {
    const { t0, t1 } = app.view;
    const part = (t1 - t0) / app.size.width;
    const h = app.hover;
    let cursor = '';
    if (h) {
        const lane = h.row && h.row.lane.state ? h.row.lane : app.model.lanes.find((l) => l.state);
        const v = vtimeText(lane, h.t);
        cursor = `cursor ${clockText(h.t, part)}${v ? ` (virtual ${v})` : ''}`;
    }
    $('s-cursor').textContent = cursor;
    $('s-view').textContent = `view ${duration(t1 - t0)}, ${duration(part)} a pixel`;
    $('s-range').textContent = app.range ? `range ${duration(app.range.t1 - app.range.t0)}` : '';
    const many =
        app.arrows && app.model.kicks.n && !app.kicksShown.length ? kicksInView(t0, t1).length : 0;
    const lost = app.model.nLost ? `${count(app.model.nLost)} events lost` : '';
    $('s-trace').textContent =
        lost ||
        (many > MAX_ARROWS
            ? `${count(many)} kicks in view: zoom in for arrows`
            : `${count(app.model.nEvents)} events, none lost`);
    $('s-trace').classList.toggle('lost', lost !== '');
}
