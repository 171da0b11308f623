/* SPDX-License-Identifier: MIT
 *
 * From the page's text to typed arrays, and the questions asked of them. The idea to hold: a track
 * is intervals that do not overlap, so "how much of each class lies between two times" is the
 * difference of two running sums. Sums stand at every 64th interval; between those one adds up at
 * most 64. So a pixel that hides a thousand intervals costs no more than one that shows a single
 * one, and what is drawn for it is exact, not sampled.
 */

const FORMAT = 1;
const STEP = 64; /* intervals between two running sums */
const SLOTS = 16; /* colours of a track that is not a state's; the last one is for all the rest */

async function unpack(base64) {
    const binary = atob(base64);
    const packed = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) {
        packed[i] = binary.charCodeAt(i);
    }
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* Calls put(i, value) for each of the column's integers; beyond 2^53 they are rounded. */
function readColumn(bytes, column, put) {
    let at = column[0];
    const end = at + column[1];
    for (let i = 0; at < end; i++) {
        let byte = bytes[at++];
        let value = byte & 0x7f;
        let scale = 128;
        while (byte >= 0x80) {
            byte = bytes[at++];
            value += (byte & 0x7f) * scale;
            scale *= 128;
        }
        put(i, value);
    }
}

function unzigzag(value) {
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/* A value that may be absent becomes NaN. */
function readMaybe(bytes, column, n) {
    const out = new Float64Array(n);
    readColumn(bytes, column, (i, v) => {
        out[i] = v === 0 ? NaN : unzigzag(v - 1);
    });
    return out;
}

function readPlain(bytes, column, n) {
    const out = new Uint32Array(n);
    readColumn(bytes, column, (i, v) => {
        out[i] = v;
    });
    return out;
}

function readTimes(track, bytes, json) {
    const n = json.n;
    track.start = new Float64Array(n);
    track.end = new Float64Array(n);
    readColumn(bytes, json.dur, (i, v) => {
        track.end[i] = v;
    });
    let last = 0;
    readColumn(bytes, json.gap, (i, v) => {
        track.start[i] = last + unzigzag(v);
        last = track.start[i] + track.end[i];
        track.end[i] = last;
    });
    track.cls = new Uint16Array(n);
    readColumn(bytes, json.cls, (i, v) => {
        track.cls[i] = v;
    });
}

/*
 * The colour slot of each class, the same for a name in all tracks of one label: the fifteen names
 * that take most time have one each, the others share.
 */
function assignSlots(tracks) {
    const total = new Map();
    for (const track of tracks) {
        const sums = new Float64Array(track.names.length);
        for (let i = 0; i < track.n; i++) {
            sums[track.cls[i]] += track.end[i] - track.start[i] + 1;
        }
        track.names.forEach((name, cls) => total.set(name, (total.get(name) || 0) + sums[cls]));
    }
    const order = [...total.keys()].sort((a, b) => total.get(b) - total.get(a));
    const slots = new Map(order.map((name, rank) => [name, Math.min(rank, SLOTS - 1)]));
    for (const track of tracks) {
        track.slot = Uint8Array.from(track.names, (name) => slots.get(name));
        track.slots = Math.min(order.length, SLOTS);
    }
}

function buildSums(track) {
    const marks = Math.floor(track.n / STEP) + 1;
    const run = new Float64Array(track.slots);
    track.sums = new Float64Array(marks * track.slots);
    for (let i = 0; i < track.n; i++) {
        if (i % STEP === 0) {
            track.sums.set(run, (i / STEP) * track.slots);
        }
        run[track.slot[track.cls[i]]] += track.end[i] - track.start[i];
    }
    if (track.n % STEP === 0) {
        track.sums.set(run, (track.n / STEP) * track.slots);
    }
}

/* The first interval that ends after t; n when there is none. */
function firstAfter(track, t) {
    const end = track.end;
    let low = 0;
    let high = track.n;
    while (low < high) {
        const mid = (low + high) >> 1;
        if (end[mid] > t) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* The first interval that begins at or after t. */
function firstFrom(track, t) {
    const start = track.start;
    let low = 0;
    let high = track.n;
    while (low < high) {
        const mid = (low + high) >> 1;
        if (start[mid] >= t) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* Time in each slot of the whole intervals [0, index) into `out`. */
function sumsBefore(track, index, out, sign) {
    const mark = Math.floor(index / STEP);
    const base = mark * track.slots;
    for (let s = 0; s < track.slots; s++) {
        out[s] += sign * track.sums[base + s];
    }
    for (let i = mark * STEP; i < index; i++) {
        out[track.slot[track.cls[i]]] += sign * (track.end[i] - track.start[i]);
    }
}

/*
 * Time in each slot between t0 and t1, into `out`, which holds track.slots numbers. `first` is
 * firstAfter(track, t0) where the caller has it. Returns the index of the first interval that
 * begins at or after t1.
 */
function shares(track, t0, t1, out, first) {
    const from = first === undefined ? firstAfter(track, t0) : first;
    out.fill(0);
    /* Most callers ask for a pixel: the end is near. */
    let to = from;
    const near = Math.min(track.n, from + STEP);
    while (to < near && track.start[to] < t1) {
        out[track.slot[track.cls[to]]] +=
            Math.min(track.end[to], t1) - Math.max(track.start[to], t0);
        to++;
    }
    if (to === near && to < track.n && track.start[to] < t1) {
        to = firstFrom(track, t1);
        out.fill(0);
        sumsBefore(track, to, out, 1);
        sumsBefore(track, from, out, -1);
        out[track.slot[track.cls[from]]] -= Math.max(0, t0 - track.start[from]);
        out[track.slot[track.cls[to - 1]]] -= Math.max(0, track.end[to - 1] - t1);
        for (let s = 0; s < track.slots; s++) {
            out[s] = Math.max(0, out[s]);
        }
    }
    return to;
}

/* How many intervals of each class touch [t0, t1). */
function counts(track, t0, t1, nClasses) {
    const out = new Float64Array(nClasses);
    const to = firstFrom(track, t1);
    for (let i = firstAfter(track, t0); i < to; i++) {
        out[track.cls[i]]++;
    }
    return out;
}

function readTrack(json, bytes, model) {
    const track = {
        kind: json.kind,
        lane: json.lane,
        label: json.label,
        about: json.about,
        n: json.n,
        row: json.row || 0,
        dropped: json.dropped || 0,
        extra: [],
    };
    readTimes(track, bytes, json);
    if (json.kind === 'state') {
        track.names = model.states;
        track.slot = Uint8Array.from(model.states.keys());
        track.slots = model.states.length;
        track.reason = readPlain(bytes, json.reason, json.n);
        track.flags = readPlain(bytes, json.flags, json.n);
        if (json.vtime) {
            let last = 0;
            track.vtime = readMaybe(bytes, json.vtime, json.n);
            track.vtime.forEach((v, i) => {
                if (!Number.isNaN(v)) {
                    last += v;
                    track.vtime[i] = last;
                }
            });
        }
    } else {
        track.names = json.names.map((id) => model.texts[id]);
        for (const extra of json.extra) {
            const e = { key: extra.key, unit: extra.unit };
            if (extra.unit === 'hex') {
                e.high = readPlain(bytes, extra.cols[0], json.n);
                e.low = readPlain(bytes, extra.cols[1], json.n);
            } else {
                e.values = readMaybe(bytes, extra.cols[0], json.n);
            }
            track.extra.push(e);
        }
    }
    return track;
}

function readKicks(json, bytes) {
    const n = json.n;
    const kicks = {
        n,
        sent: new Float64Array(n),
        taken: readMaybe(bytes, json.taken, n),
        from: readPlain(bytes, json.from, n),
        to: readPlain(bytes, json.to, n),
        cause: readPlain(bytes, json.cause, n),
        state: readPlain(bytes, json.state, n),
        merged: readPlain(bytes, json.merged, n),
        kind: readPlain(
            bytes,
            json.kind,
            n,
        ) /* 1: woke a halted vCPU, 2: got one out of guest code */,
        longest: 0,
    };
    let last = 0;
    readColumn(bytes, json.sent, (i, v) => {
        last += unzigzag(v);
        kicks.sent[i] = last;
    });
    kicks.start = kicks.sent;
    for (let i = 0; i < n; i++) {
        if (kicks.taken[i] > kicks.longest) {
            kicks.longest = kicks.taken[i];
        }
    }
    return kicks;
}

/* The whole model that the rest of the viewer works with. */
async function loadModel(base64) {
    const bytes = await unpack(base64);
    const length = new DataView(bytes.buffer).getUint32(0, true);
    const json = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    if (json.format !== FORMAT) {
        throw new Error(`this viewer reads format ${FORMAT}, the page holds ${json.format}`);
    }
    const columns = bytes.subarray(4 + length);
    const model = {
        title: json.title,
        epoch: BigInt(json.epoch),
        begin: json.begin,
        end: json.end,
        nEvents: json.n_events,
        nLost: json.n_lost,
        states: json.states,
        texts: json.texts,
        sources: json.sources,
        lanes: json.lanes,
        losses: json.losses,
        events: json.events,
        kicks: readKicks(json.kicks, columns),
    };
    if (model.end <= model.begin) {
        model.end = model.begin + 1;
    }
    model.tracks = json.tracks.map((t) => readTrack(t, columns, model));
    const labels = new Set(model.tracks.filter((t) => t.kind !== 'state').map((t) => t.label));
    labels.forEach((label) => assignSlots(model.tracks.filter((t) => t.label === label)));
    model.tracks.filter((t) => t.kind !== 'mark').forEach(buildSums);
    model.lanes.forEach((lane, i) => {
        lane.index = i;
        lane.state = model.tracks.find((t) => t.lane === i && t.kind === 'state');
    });
    if (json.stray) {
        model.lanes.push({
            name: 'elsewhere',
            vcpu: false,
            accel: '',
            tid: -1,
            source: 0,
            stray: true,
            index: model.lanes.length,
            sums: [],
        });
    }
    model.hasVtime = model.tracks.some((t) => t.vtime);
    return model;
}

/* The guest's virtual time at t as lane's states tell it; NaN where they do not. */
function virtualTime(lane, t) {
    const track = lane && lane.state;
    if (!track || !track.vtime) {
        return NaN;
    }
    const i = Math.min(firstAfter(track, t), track.n - 1);
    if (i < 0 || track.start[i] > t) {
        return NaN;
    }
    const next = i + 1 < track.n ? track.vtime[i + 1] : NaN;
    const span = track.end[i] - track.start[i];
    if (Number.isNaN(next) || span <= 0) {
        return track.vtime[i];
    }
    return track.vtime[i] + ((next - track.vtime[i]) * (t - track.start[i])) / span;
}

/*
 * How much virtual time passed from t0 to t1, as far as the lane's states tell; NaN where they do
 * not.
 */
function virtualSpan(lane, t0, t1) {
    const track = lane.state;
    if (!track || !track.vtime) {
        return NaN;
    }
    const known = track.vtime.findIndex((v) => !Number.isNaN(v));
    const to = virtualTime(lane, Math.min(t1, track.end[track.n - 1]) - 1);
    return known < 0 ? NaN : to - virtualTime(lane, Math.max(t0, track.start[known]));
}

/* What an extra number of an interval means, as text; '' where it is absent. */
function extraText(model, extra, i) {
    if (extra.unit === 'hex') {
        const high = extra.high[i].toString(16);
        const low = extra.low[i].toString(16);
        return extra.high[i] ? `0x${high}${low.padStart(8, '0')}` : `0x${low}`;
    }
    const v = extra.values[i];
    if (Number.isNaN(v)) {
        return '';
    }
    switch (extra.unit) {
        case 'ns':
            return duration(v);
        case 'text':
            return model.texts[v];
        case 'lane':
            return model.lanes[v] ? model.lanes[v].name : '?';
        case 'flag':
            return v ? 'yes' : '';
        default:
            return String(v);
    }
}
