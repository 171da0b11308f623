/* SPDX-License-Identifier: MIT
 *
 * What has which colour. The idea to hold: a state's colour must say how good it is for the guest,
 * and be told apart by people who see fewer colours: the hues are those of Okabe and Ito's palette,
 * their lightness differs too, and what is a wait is hatched where there is room.
 */

/* In the order in which a mixed pixel stacks them, from the bottom. */
const STATE_STYLE = {
    running: { light: '#009e73', dark: '#12b187', about: 'in guest code' },
    exit: {
        light: '#56b4e9',
        dark: '#56b4e9',
        about: "in the accelerator's loop, between guest code and a reason",
    },
    device: { light: '#0072b2', dark: '#2f8fd0', about: "in a device's register" },
    exclusive: { light: '#f0e442', dark: '#f0e442', about: 'alone: every other vCPU is held' },
    'exclusive-wait': {
        light: '#e69f00',
        dark: '#e69f00',
        wait: true,
        about: 'waits to enter an exclusive section, or for one to end',
    },
    'lock-wait': {
        light: '#d55e00',
        dark: '#f0701a',
        wait: true,
        about: 'waits for the machine lock',
    },
    throttled: { light: '#cc79a7', dark: '#d98bb5', wait: true, about: 'held by the throttle' },
    halted: { light: '#d3dae3', dark: '#39434f', about: 'the guest waits for an interrupt' },
    stopped: { light: '#9aa3ae', dark: '#687381', wait: true, about: 'the VM is paused' },
    created: { light: '#bcc3cc', dark: '#525c69', about: 'exists, has not begun' },
    unplugged: { light: '#e9ecf0', dark: '#262d37', about: 'its thread has ended' },
    unknown: {
        light: '#f6d9d6',
        dark: '#4f2f33',
        lost: true,
        about: 'the trace does not say: events were lost',
    },
};
const STACK = Object.keys(STATE_STYLE);

/* For names that are no states: by rank of time taken. The last is "all others". */
const NAME_LIGHT = [
    '#4477aa',
    '#cc6677',
    '#228833',
    '#aa9933',
    '#7a5195',
    '#2f9c95',
    '#b3632d',
    '#6c7a89',
    '#8da0cb',
    '#c06c9a',
    '#7fae3c',
    '#3a5f8a',
    '#a3547a',
    '#5b8c85',
    '#b58a4b',
    '#9aa5b1',
];
const NAME_DARK = [
    '#6b9bd1',
    '#e08793',
    '#4fb06a',
    '#cbbb55',
    '#a481c4',
    '#53c2ba',
    '#d98a55',
    '#93a2b3',
    '#a9b9e0',
    '#db8fb8',
    '#a0cb62',
    '#6f93bd',
    '#c77fa2',
    '#82b3ac',
    '#d3ab70',
    '#7d8997',
];

const WAIT_STATES = STACK.filter((s) => ['lock-wait', 'exclusive-wait', 'throttled'].includes(s));

const theme = { dark: false, css: {}, patterns: new Map() };

function readTheme() {
    const style = getComputedStyle(document.documentElement);
    for (const name of [
        'bg',
        'bg-lane',
        'bg-bar',
        'bg-row',
        'line',
        'line-soft',
        'text',
        'text-soft',
        'accent',
        'accent-soft',
        'match',
        'lost',
        'lost-soft',
        'arrow',
        'empty',
    ]) {
        theme.css[name] = style.getPropertyValue(`--${name}`).trim();
    }
    theme.dark = document.documentElement.classList.contains('dark');
    theme.patterns.clear();
}

function setTheme(dark) {
    const root = document.documentElement;
    root.classList.toggle('dark', dark);
    root.classList.toggle('light', !dark);
    readTheme();
}

function stateColour(name) {
    const style = STATE_STYLE[name] || STATE_STYLE.unknown;
    return theme.dark ? style.dark : style.light;
}

function slotColour(track, slot) {
    if (track.kind === 'state') {
        return stateColour(track.names[slot]);
    }
    return (theme.dark ? NAME_DARK : NAME_LIGHT)[slot % SLOTS];
}

function classColour(track, cls) {
    return slotColour(track, track.slot[cls]);
}

/* Black or white, whichever can be read on the colour. */
function inkOn(colour) {
    const v = [1, 3, 5].map((i) => {
        const c = parseInt(colour.slice(i, i + 2), 16) / 255;
        return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    const l = 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
    return (l + 0.05) / 0.05 > 1.05 / (l + 0.05) ? '#0d1117' : '#ffffff';
}

/* Diagonal lines over whatever is below. */
function hatch(ctx, colour, ratio) {
    const key = `${colour}/${ratio}`;
    if (!theme.patterns.has(key)) {
        const size = Math.round(8 * ratio);
        const tile = document.createElement('canvas');
        tile.width = tile.height = size;
        const c = tile.getContext('2d');
        c.strokeStyle = colour;
        c.lineWidth = 1.4 * ratio;
        c.beginPath();
        for (const d of [-size, 0, size]) {
            c.moveTo(d - 1, size + 1);
            c.lineTo(d + size + 1, -1);
        }
        c.stroke();
        theme.patterns.set(key, ctx.createPattern(tile, 'repeat'));
    }
    return theme.patterns.get(key);
}
