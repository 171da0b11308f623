/* SPDX-License-Identifier: MIT
 *
 * Search. The idea to hold: each text is compared once, not each event; then one pass over the
 * columns asks whether an event's texts are among those that matched. Hits stay per track, in order
 * of time, and are merged into one order for "next" and "previous".
 *
 * Words, all of which must hold:  text   in a name, reason, cause or other text;   dur>1ms
 * dur<5us; cpu:1;   state:halted  reason:mmio  in:ops (the sub-lane);   kick (kicks and wake-ups);
 * @1.25s jumps.
 */

const UNIT_NS = { ns: 1, us: 1e3, '\u00b5s': 1e3, ms: 1e6, s: 1e9 };

function parseTime(text) {
    const m = /^([0-9]*\.?[0-9]+)\s*(ns|us|\u00b5s|ms|s)?$/.exec(text);
    return m ? Number(m[1]) * UNIT_NS[m[2] || 's'] : NaN;
}

function parseQuery(text) {
    const query = {
        words: [],
        min: -1,
        max: Infinity,
        cpu: -1,
        state: '',
        reason: '',
        track: '',
        jump: NaN,
    };
    for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
        const m = /^(dur[<>]|cpu:|state:|reason:|in:|@)(.+)$/.exec(word);
        if (!m) {
            query.words.push(word);
        } else if (m[1] === 'dur>') {
            query.min = parseTime(m[2]);
        } else if (m[1] === 'dur<') {
            query.max = parseTime(m[2]);
        } else if (m[1] === 'cpu:') {
            query.cpu = Number(m[2]);
        } else if (m[1] === '@') {
            query.jump = parseTime(m[2]);
        } else {
            query[{ 'state:': 'state', 'reason:': 'reason', 'in:': 'track' }[m[1]]] = m[2];
        }
    }
    return query;
}

function textMatches(words) {
    return app.model.texts.map((text) => {
        const low = text.toLowerCase();
        return words.every((w) => low.includes(w));
    });
}

function searchTrack(track, query, matches) {
    const lane = app.model.lanes[track.lane];
    if (
        (query.cpu >= 0 && lane.cpu !== query.cpu) ||
        (query.track && !track.label.includes(query.track)) ||
        ((query.state || query.reason) && track.kind !== 'state')
    ) {
        return [];
    }
    const named = track.names.map((name) =>
        query.words.every((w) => name.toLowerCase().includes(w)),
    );
    const inState = track.names.map((name) => !query.state || name.includes(query.state));
    const because = query.reason
        ? app.model.texts.map((t) => t.toLowerCase().includes(query.reason))
        : null;
    const texts = track.extra.filter((e) => e.unit === 'text').map((e) => e.values);
    const hits = [];
    for (let i = 0; i < track.n; i++) {
        const time = track.end[i] - track.start[i];
        if (
            time <= query.min ||
            time >= query.max ||
            !inState[track.cls[i]] ||
            (because && !because[track.reason[i]])
        ) {
            continue;
        }
        if (
            named[track.cls[i]] ||
            (track.reason && matches[track.reason[i]]) ||
            texts.some((values) => matches[values[i]])
        ) {
            hits.push(i);
        }
    }
    return hits;
}

function searchKicks(query, matches) {
    const kicks = app.model.kicks;
    if (query.state || query.reason || query.track) {
        return [];
    }
    const asKick = query.words.length > 0 && query.words.every((w) => 'kick'.includes(w));
    const asWake = query.words.length > 0 && query.words.every((w) => 'wake-up'.includes(w));
    const hits = [];
    for (let k = 0; k < kicks.n; k++) {
        const time = kicks.taken[k];
        const lane = app.model.lanes[kicks.to[k] - 1];
        if (
            (query.min >= 0 && !(time > query.min)) ||
            (query.max < Infinity && !(time < query.max)) ||
            (query.cpu >= 0 && (!lane || lane.cpu !== query.cpu))
        ) {
            continue;
        }
        if (
            matches[kicks.cause[k]] ||
            asKick ||
            (asWake && app.model.states[kicks.state[k]] === 'halted')
        ) {
            hits.push(k);
        }
    }
    return hits;
}

/* Merges the tracks' hits into one order by time. */
function mergeHits(lists) {
    const n = lists.reduce((sum, l) => sum + l.hits.length, 0);
    const result = {
        n,
        list: new Uint16Array(n),
        index: new Uint32Array(n),
        time: new Float64Array(n),
    };
    const at = new Uint32Array(lists.length);
    for (let k = 0; k < n; k++) {
        let best = -1;
        let time = Infinity;
        for (let l = 0; l < lists.length; l++) {
            if (at[l] < lists[l].hits.length) {
                const t = lists[l].start[lists[l].hits[at[l]]];
                if (t < time) {
                    time = t;
                    best = l;
                }
            }
        }
        result.list[k] = best;
        result.index[k] = lists[best].hits[at[best]++];
        result.time[k] = time;
    }
    return result;
}

function runSearch(text) {
    const query = parseQuery(text);
    const search = { text, n: 0, at: -1, current: null, tracks: new Map(), ticks: [], lists: [] };
    app.search = search;
    if (!Number.isNaN(query.jump)) {
        const { t0, t1 } = app.view;
        const width = Math.min(t1 - t0, (app.model.end - app.model.begin) / 50);
        setView(query.jump - width / 2, query.jump + width / 2, { glide: true });
    } else if (text.trim()) {
        const matches = textMatches(query.words);
        for (const track of app.model.tracks) {
            const hits = searchTrack(track, query, matches);
            if (hits.length) {
                search.tracks.set(track, hits);
                search.lists.push({ track, hits, start: track.start });
            }
        }
        const kicks = searchKicks(query, matches);
        if (kicks.length) {
            search.lists.push({ hits: kicks, start: app.model.kicks.sent });
        }
        search.merged = mergeHits(search.lists);
        search.n = search.merged.n;
        const { begin, end } = app.model;
        const cells = new Set();
        search.merged.time.forEach((t) =>
            cells.add(Math.floor(((t - begin) / (end - begin)) * 1500)),
        );
        search.ticks = [...cells].map((c) => begin + (c * (end - begin)) / 1500);
    }
    showFound();
    redraw();
    if (app.tab === 'found' || search.n) {
        app.tab = text.trim() && search.n ? 'found' : app.tab === 'found' ? 'range' : app.tab;
        redraw('panel');
    }
}

function showFound() {
    const s = app.search;
    $('found').textContent =
        !s.text.trim() || s.text.startsWith('@')
            ? ''
            : s.at >= 0
              ? `${count(s.at + 1)} of ${count(s.n)}`
              : `${count(s.n)} found`;
}

function hitNumber(k) {
    const m = app.search.merged;
    const list = app.search.lists[m.list[k]];
    return {
        track: list.track,
        i: m.index[k],
        kick: list.track ? undefined : m.index[k],
        t: m.time[k],
    };
}

function goToHit(k) {
    const s = app.search;
    s.at = k;
    s.current = hitNumber(k);
    reveal(s.current);
    showFound();
    redraw('panel');
}

/* From the middle of the view when nothing was visited yet. */
function stepHit(by) {
    const s = app.search;
    if (!s.n) {
        return;
    }
    if (s.at >= 0) {
        goToHit((s.at + by + s.n) % s.n);
        return;
    }
    const t = app.view.t0;
    let k = 0;
    while (k < s.n && s.merged.time[k] < t) {
        k++;
    }
    goToHit(by > 0 ? k % s.n : (k - 1 + s.n) % s.n);
}

/* Shows and selects an event, opening its lane when it is on a closed sub-lane. */
function reveal(what) {
    if (what.track) {
        if (!app.rows.some((r) => r.tracks.includes(what.track))) {
            app.open.add(what.track.lane);
            layout();
        }
        const row = app.rows.find((r) => r.tracks.includes(what.track));
        const scroller = $('scroller');
        if (
            row &&
            (row.y < scroller.scrollTop || row.y + row.h > scroller.scrollTop + app.size.height)
        ) {
            scroller.scrollTop = row.y - app.size.height / 3;
        }
        bringIn(what.track.start[what.i], what.track.end[what.i]);
        select({ track: what.track, i: what.i });
    } else {
        const kicks = app.model.kicks;
        bringIn(kicks.sent[what.kick], kicks.sent[what.kick] + (kicks.taken[what.kick] || 0));
        select({ kick: what.kick });
    }
}
