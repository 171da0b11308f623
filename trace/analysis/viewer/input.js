/* SPDX-License-Identifier: MIT
 *
 * Hands on the picture: wheel, drags, keys. The idea to hold: whatever a mouse can do a key can do,
 * and KEYS is the one list of them: what it does and what the help shows.
 */

const DRAG = 3; /* CSS pixels before a press is a drag */

function focusRow(by) {
    app.focus = Math.max(0, Math.min(app.rows.length - 1, app.focus + by));
    drawLabels();
    const row = app.rows[app.focus];
    const scroller = $('scroller');
    if (row.y < scroller.scrollTop) {
        scroller.scrollTop = row.y;
    } else if (row.y + row.h > scroller.scrollTop + app.size.height) {
        scroller.scrollTop = row.y + row.h - app.size.height;
    }
}

/* The next or previous event on the row that has the keyboard. */
function stepEvent(by) {
    const row = app.rows[app.focus];
    const track = row && row.tracks[0];
    if (!track) {
        return;
    }
    let i;
    if (app.selected && app.selected.track === track) {
        i = app.selected.i + by;
    } else {
        i = by > 0 ? firstFrom(track, app.view.t0) : firstFrom(track, app.view.t1) - 1;
    }
    if (i >= 0 && i < track.n) {
        reveal({ track, i });
    }
}

function centre() {
    const at = app.hover ? app.hover.t : NaN;
    return at >= app.view.t0 && at <= app.view.t1 ? at : (app.view.t0 + app.view.t1) / 2;
}

function setRange(range) {
    app.range = range;
    if (range && app.tab !== 'waits' && app.tab !== 'latency' && app.tab !== 'names') {
        app.tab = 'range';
    }
    redraw();
    redraw('panel');
}

function zoomToChosen() {
    if (app.range) {
        const { t0, t1 } = app.range;
        setView(t0, t1, { glide: true });
    } else if (app.selected) {
        const d = app.selected.track
            ? describeItem(app.selected.track, app.selected.i)
            : describeKick(app.selected.kick);
        showSpan(d.t0, d.t1);
    }
}

function clearChosen() {
    if (app.range) {
        setRange(null);
    } else if (app.selected) {
        select(null);
    } else if (app.search.text) {
        $('query').value = '';
        runSearch('');
    }
}

function toggleArrows() {
    app.arrows = !app.arrows;
    $('arrows').setAttribute('aria-pressed', String(app.arrows));
    redraw();
}

function toggleAllLanes() {
    app.open = app.open.size ? new Set() : new Set(app.model.lanes.map((l) => l.index));
    layout();
}

function toggleTheme() {
    setTheme(!theme.dark);
    try {
        localStorage.setItem('orrery-timeline-theme', theme.dark ? 'dark' : 'light');
    } catch {
        /* a page opened from a file may have no storage */
    }
    drawDetail();
    redraw();
    redraw('panel');
}

function showHelp() {
    const dialog = $('keys');
    if (dialog.open) {
        dialog.close();
        return;
    }
    dialog.textContent = '';
    const item = (k, d) => [el('dt', {}, k), el('dd', {}, d)];
    dialog.append(
        el('h2', {}, 'Keys'),
        el(
            'dl',
            {},
            KEYS.filter((k) => k.help).map((k) => item(k.show, k.help)),
        ),
        el('h2', {}, 'Mouse'),
        el('dl', {}, [
            item('wheel', 'zoom at the pointer'),
            item('Shift+wheel', 'pan'),
            item('drag', 'select a range'),
            item('Shift+drag', 'pan (also the middle button)'),
            item('double-click', 'zoom to what is under it'),
            item('click', 'what was it: details'),
            item('wheel on names', 'scroll the lanes'),
            item('drag above', 'in the minimap: move the view'),
        ]),
        el('h2', {}, 'Search'),
        el('dl', {}, [
            item('mmio', 'any name, reason, cause'),
            item('dur>1ms', 'longer (or <, shorter) than'),
            item('cpu:1', 'on one vCPU'),
            item('state:halted', 'by state; reason:wfi by reason'),
            item('in:ops', 'in one sub-lane'),
            item('@1.25s', 'go to a time'),
        ]),
        el('button', { onclick: () => dialog.close() }, 'Close'),
    );
    dialog.showModal();
}

const KEYS = [
    {
        keys: ['ArrowLeft', 'a'],
        show: '\u2190 A',
        help: 'pan left',
        run: () => panBy(-0.2, { glide: true }),
    },
    {
        keys: ['ArrowRight', 'd'],
        show: '\u2192 D',
        help: 'pan right',
        run: () => panBy(0.2, { glide: true }),
    },
    {
        keys: ['w', '+', '='],
        show: 'W +',
        help: 'zoom in at the pointer',
        run: () => zoomAt(0.5, centre(), { glide: true }),
    },
    {
        keys: ['s', '-'],
        show: 'S \u2212',
        help: 'zoom out',
        run: () => zoomAt(2, centre(), { glide: true }),
    },
    { keys: ['0', 'Home'], show: '0 Home', help: 'the whole trace', run: fitAll },
    { keys: ['b', 'Backspace'], show: 'B', help: 'back to the view before', run: goBack },
    {
        keys: ['z', 'Enter'],
        show: 'Z Enter',
        help: 'zoom to the range or the selected event',
        run: zoomToChosen,
    },
    { keys: ['Escape'], show: 'Esc', help: 'drop range, selection, search', run: clearChosen },
    { keys: ['ArrowUp'], show: '\u2191', help: 'the lane above', run: () => focusRow(-1) },
    { keys: ['ArrowDown'], show: '\u2193', help: 'the lane below', run: () => focusRow(1) },
    {
        keys: ['.', 'shift+ArrowRight'],
        show: '.',
        help: 'next event on the lane',
        run: () => stepEvent(1),
    },
    {
        keys: [',', 'shift+ArrowLeft'],
        show: ',',
        help: 'previous event on the lane',
        run: () => stepEvent(-1),
    },
    {
        keys: ['e'],
        show: 'E',
        help: 'open or close the lane',
        run: () => app.rows[app.focus] && toggleLane(app.rows[app.focus].lane),
    },
    { keys: ['shift+E'], show: 'Shift+E', help: 'open or close all lanes', run: toggleAllLanes },
    { keys: ['/'], show: '/', help: 'search', run: () => $('query').select() },
    { keys: ['n'], show: 'N', help: 'next match', run: () => stepHit(1) },
    { keys: ['shift+N'], show: 'Shift+N', help: 'previous match', run: () => stepHit(-1) },
    { keys: ['k'], show: 'K', help: 'arrows on or off', run: toggleArrows },
    {
        keys: ['r'],
        show: 'R',
        help: 'what is in view as the range',
        run: () => setRange({ ...app.view }),
    },
    { keys: ['l'], show: 'L', help: 'longest waits', run: () => openTab('waits') },
    { keys: ['t'], show: 'T', help: 'dark or light', run: toggleTheme },
    { keys: ['?', 'shift+?'], show: '?', help: 'this list', run: showHelp },
];

function onKey(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || $('keys').open) {
        return;
    }
    const typing = e.target.id === 'query';
    if (typing) {
        if (e.key === 'Enter') {
            stepHit(e.shiftKey ? -1 : 1);
            e.preventDefault();
        } else if (e.key === 'Escape') {
            $('stage').focus();
        }
        return;
    }
    if (e.target.closest('button, tr.jump') && ['Enter', ' '].includes(e.key)) {
        return;
    }
    const name =
        e.shiftKey && (e.key.length > 1 || /[A-Z?]/.test(e.key)) ? `shift+${e.key}` : e.key;
    const key = KEYS.find((k) => k.keys.includes(name));
    if (key) {
        key.run();
        e.preventDefault();
    }
}

function place(e) {
    const box = $('stage').getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
}

function onWheel(e) {
    e.preventDefault();
    hideTip();
    const unit = e.deltaMode === 1 ? 18 : e.deltaMode === 2 ? 300 : 1;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
        panBy(((e.deltaX || e.deltaY) * unit) / app.size.width, { flow: true });
    } else if (e.altKey) {
        $('scroller').scrollTop += e.deltaY * unit;
    } else {
        const { x } = place(e);
        zoomAt(1.0018 ** Math.max(-400, Math.min(400, e.deltaY * unit)), timeAt(x), { flow: true });
    }
    hoverAt(e);
}

function hoverAt(e) {
    const { x, y } = place(e);
    if (x < 0 || x > app.size.width) {
        return;
    }
    app.hover = hit(x, y);
    redraw('over');
    drawStatus();
}

/* Follows a press until it ends: move(e, started) for each step, end(e, moved) once. */
function follow(e, move, end) {
    const x0 = e.clientX;
    const y0 = e.clientY;
    let moved = false;
    const onMove = (f) => {
        moved = moved || Math.hypot(f.clientX - x0, f.clientY - y0) >= DRAG;
        if (moved) {
            move(f);
        }
    };
    const onUp = (f) => {
        removeEventListener('pointermove', onMove);
        removeEventListener('pointerup', onUp);
        removeEventListener('pointercancel', onUp);
        end(f, moved);
    };
    addEventListener('pointermove', onMove);
    addEventListener('pointerup', onUp);
    addEventListener('pointercancel', onUp);
}

function dragPan(e) {
    const { t0, t1 } = app.view;
    const part = (t1 - t0) / app.size.width;
    $('stage').classList.add('pan');
    follow(
        e,
        (f) => {
            const by = (e.clientX - f.clientX) * part;
            setView(t0 + by, t1 + by, { flow: true });
        },
        () => $('stage').classList.remove('pan'),
    );
}

function dragRange(e, onClick) {
    const begin = timeAt(place(e).x);
    follow(
        e,
        (f) => {
            const x = Math.max(0, Math.min(app.size.width, place(f).x));
            const t = timeAt(x);
            hideTip();
            setRange({
                t0: Math.max(app.model.begin, Math.min(begin, t)),
                t1: Math.min(app.model.end, Math.max(begin, t)),
            });
        },
        (f, moved) => {
            if (!moved) {
                onClick(f);
            }
        },
    );
}

function onPress(e) {
    $('stage').focus({ preventScroll: true });
    if (e.button === 1 || (e.button === 0 && e.shiftKey)) {
        e.preventDefault();
        dragPan(e);
    } else if (e.button === 0) {
        dragRange(e, (f) => {
            const { x, y } = place(f);
            const h = hit(x, y);
            if (h.row) {
                app.focus = app.rows.indexOf(h.row);
                drawLabels();
            }
            if (h.kick !== undefined) {
                select({ kick: h.kick });
            } else if (h.track && h.i >= 0) {
                select({ track: h.track, i: h.i });
            } else if (app.range && (h.t < app.range.t0 || h.t > app.range.t1)) {
                setRange(null);
            }
        });
    }
}

function onDouble(e) {
    const { x, y } = place(e);
    const h = hit(x, y);
    const d = app.range && h.t >= app.range.t0 && h.t <= app.range.t1 ? null : describe(h);
    if (d && h.i !== -1) {
        showSpan(d.t0, d.t1);
    } else if (d) {
        zoomAt(0.1, h.t, { glide: true });
    } else {
        zoomToChosen();
    }
}

function listenMini() {
    const canvas = $('mini-canvas');
    const at = (f) => {
        const box = canvas.getBoundingClientRect();
        return (
            app.model.begin +
            ((app.model.end - app.model.begin) * (f.clientX - box.left)) / box.width
        );
    };
    canvas.addEventListener('pointerdown', (e) => {
        const width = app.view.t1 - app.view.t0;
        const t = at(e);
        const inside = t >= app.view.t0 && t <= app.view.t1;
        const grip = inside ? t - app.view.t0 : width / 2;
        if (width > (app.model.end - app.model.begin) * 0.98) {
            /* Nothing to move yet: a drag chooses the view. */
            follow(
                e,
                (f) => setView(Math.min(t, at(f)), Math.max(t, at(f)), { flow: true }),
                () => {},
            );
            return;
        }
        setView(t - grip, t - grip + width, { flow: true });
        follow(
            e,
            (f) => setView(at(f) - grip, at(f) - grip + width, { flow: true }),
            () => {},
        );
    });
    canvas.addEventListener(
        'wheel',
        (e) => {
            e.preventDefault();
            zoomAt(
                1.0018 ** Math.max(-400, Math.min(400, e.deltaY)),
                (app.view.t0 + app.view.t1) / 2,
                { flow: true },
            );
        },
        { passive: false },
    );
}

function listenSplitter() {
    $('splitter').addEventListener('pointerdown', (e) => {
        const height = $('panel').getBoundingClientRect().height;
        follow(
            e,
            (f) => {
                const h = Math.max(60, Math.min(innerHeight - 280, height + e.clientY - f.clientY));
                document.documentElement.style.setProperty('--panel-height', `${h}px`);
            },
            () => {},
        );
    });
}

function listen() {
    const stage = $('stage');
    stage.addEventListener('wheel', onWheel, { passive: false });
    stage.addEventListener('pointerdown', onPress);
    stage.addEventListener('dblclick', onDouble);
    stage.addEventListener('auxclick', (e) => e.preventDefault());
    stage.addEventListener('pointermove', (e) => {
        if (e.buttons) {
            return;
        }
        hoverAt(e);
        showTip(app.hover, e.clientX, e.clientY);
    });
    stage.addEventListener('pointerleave', () => {
        app.hover = null;
        hideTip();
        redraw('over');
        drawStatus();
    });
    $('ruler-canvas').addEventListener('pointerdown', (e) => dragRange(e, () => setRange(null)));
    $('ruler-canvas').addEventListener('wheel', onWheel, { passive: false });
    $('scroller').addEventListener('scroll', () => redraw());
    listenMini();
    listenSplitter();
    addEventListener('keydown', onKey);
    let typing = 0;
    $('query').addEventListener('input', () => {
        clearTimeout(typing);
        typing = setTimeout(() => runSearch($('query').value), 120);
    });
    const click = (id, run) => $(id).addEventListener('click', run);
    click('prev', () => stepHit(-1));
    click('next', () => stepHit(1));
    click('back', goBack);
    click('zoom-in', () => zoomAt(0.5, (app.view.t0 + app.view.t1) / 2, { glide: true }));
    click('zoom-out', () => zoomAt(2, (app.view.t0 + app.view.t1) / 2, { glide: true }));
    click('fit', fitAll);
    click('expand', toggleAllLanes);
    click('arrows', toggleArrows);
    click('theme', toggleTheme);
    click('help', showHelp);
    new ResizeObserver(measure).observe(stage);
}
