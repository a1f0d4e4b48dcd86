/* SPDX-License-Identifier: MIT */
/*
 * What the scripts of both flame graphs share: the table of nodes (its layout is told in flame_table.c), values for
 * people, search, and the state in the fragment.
 */
const ALL = 0, REST = 1; /* names: the root, and what the table leaves out */

/* ---- the data ---- */

const settings = document.querySelector(".settings").dataset;
const compares = settings.compares === "1";
const scale = Math.pow(2, Number(settings.shift)), factor = Number(settings.factor);
const names = [], colours = [];

function textOf(selector) {
	return Array.from(document.querySelectorAll(selector), (e) => e.textContent).join("");
}

function digitTable() {
	const table = new Uint8Array(128);
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (let i = 0; i < 64; i++)
		table[digits.charCodeAt(i)] = i;
	return table;
}

function readNumbers(text) {
	const table = digitTable(), numbers = new Float64Array(text.length);
	let n = 0, value = 0, unit = 1;
	for (let i = 0; i < text.length; i++) {
		const digit = table[text.charCodeAt(i)];
		value += (digit & 31) * unit;
		unit *= 32;
		if (digit < 32) {
			numbers[n++] = value;
			value = 0;
			unit = 1;
		}
	}
	return numbers.subarray(0, n);
}

function readNames(text) {
	const table = digitTable(), lines = text.split("\n");
	lines.pop();
	for (const line of lines) {
		const name = line.slice(1);
		colours.push(table[line.charCodeAt(0)]);
		names.push(name.includes("\\") ?
			name.replace(/\\(.)/g, (all, c) => c === "n" ? "\n" : c === "r" ? "\r" : c) : name);
	}
}

/* Nodes in preorder: node i's subtree is i .. end[i] - 1. `before` is the baseline's part of a width. */
function newTree(count) {
	return {
		count: count, name: new Int32Array(count), parent: new Int32Array(count), end: new Int32Array(count),
		depth: new Int32Array(count), own: new Float64Array(count), ownBefore: new Float64Array(count),
		width: null, before: null, next: new Float64Array(count),
	};
}

function sumTree(tree) {
	tree.before = tree.ownBefore.slice();
	tree.width = tree.own.slice();
	for (let i = 0; i < tree.count; i++)
		tree.width[i] += tree.before[i];
	for (let i = tree.count - 1; i > 0; i--) {
		tree.width[tree.parent[i]] += tree.width[i];
		tree.before[tree.parent[i]] += tree.before[i];
	}
	return tree;
}

function readTree(numbers) {
	const each = compares ? 4 : 3, tree = newTree(numbers.length / each), open = [];
	for (let i = 0, at = 0; i < tree.count; i++, at += each) {
		for (let up = numbers[at]; up > 0; up--)
			tree.end[open.pop()] = i;
		tree.parent[i] = open.length ? open[open.length - 1] : -1;
		tree.depth[i] = open.length;
		tree.name[i] = numbers[at + 1];
		tree.own[i] = numbers[at + 2];
		tree.ownBefore[i] = compares ? numbers[at + 3] : 0;
		open.push(i);
	}
	for (const i of open)
		tree.end[i] = tree.count;
	return sumTree(tree);
}

/* ---- values for people ---- */

const UNITS = {
	time: [["ns", 1], ["us", 1e3], ["ms", 1e6], ["s", 1e9], ["hrs", 3600e9]],
	bytes: [["B", 1], ["kB", 1024], ["MB", 1048576], ["GB", 1073741824],
		["TB", 1099511627776], ["PB", 1125899906842624]],
};

function valueText(w) {
	const value = w * scale;
	let by = factor || 1, suffix = settings.suffix;
	if (!factor)
		for (const unit of UNITS[settings.dim])
			if (value >= unit[1])
				[suffix, by] = unit;
	const text = (value / by).toFixed(2).replace(/\.00$/, "");
	return text === "0" ? "0" : text + suffix;
}

function shareText(part, whole) {
	const share = whole ? part / whole * 100 : 0;
	if (share >= 99.95 && share <= 100.05)
		return "100%";
	return (share >= 1 ? share.toFixed(2) : Number(share.toPrecision(2))) + "%";
}

/* ---- comparisons ---- */

const STAYED = 0, NEW = 1, GONE = 2, MOVED = 3;
const FATES = ["", "new", "gone", "moved"];
let sides = null; /* of each name: 1 the baseline has it, 2 the selection */

function findSides(tree) {
	sides = new Uint8Array(names.length);
	for (let i = 1; i < tree.count; i++)
		sides[tree.name[i]] |= (tree.before[i] > 0 ? 1 : 0) | (tree.width[i] > tree.before[i] ? 2 : 0);
}

function fateOf(tree, i) {
	if (!compares || !i || !tree.width[i])
		return STAYED;
	const gone = tree.before[i] === tree.width[i];
	if (tree.before[i] && !gone)
		return STAYED;
	return sides[tree.name[i]] === 3 ? MOVED : gone ? GONE : NEW;
}

/* How many of the rising steps a value reaches. */
function stepOf(steps, value) {
	let n = 0;
	while (n < steps.length && value >= steps[n])
		n++;
	return n;
}

const CHANGE_STEPS = [0.02, 0.1, 0.25, 0.5];

/* 0 (shrank) .. 4 (equal) .. 8 (grew) */
function changeClass(before, after) {
	const change = before + after > 0 ? (after - before) / (before + after) : 0;
	const step = stepOf(CHANGE_STEPS, Math.abs(change));
	return change < 0 ? 4 - step : 4 + step;
}

function changeText(before, after) {
	const percent = before ? (after - before) / before * 100 : 0, size = Math.abs(percent);
	if (size < 0.1)
		return "";
	const digits = size < 10 ? size.toFixed(1).replace(/\.0$/, "") : size.toFixed(0);
	return (percent < 0 ? "\u2212" : "+") + digits + "%";
}

/* What a frame's text begins with. */
function markText(tree, i) {
	if (!compares)
		return "";
	const fate = fateOf(tree, i);
	const mark = fate ? FATES[fate] : changeText(tree.before[i], tree.width[i] - tree.before[i]);
	return mark ? mark + " " : "";
}

function verdictText(fate, before, after) {
	if (fate === MOVED)
		return before ? "moved away" : "moved here";
	if (fate)
		return FATES[fate];
	if (before === after)
		return "equal";
	const change = changeText(before, after);
	return (after > before ? "grew by " : "shrank by ") + valueText(Math.abs(after - before)) +
		(change ? ", " + change : "");
}

function comparedText(fate, before, width, tree) {
	const after = width - before;
	return verdictText(fate, before, after) +
		": now " + valueText(after) + " (" + shareText(after, tree.width[0] - tree.before[0]) +
		"), before " + valueText(before) + " (" + shareText(before, tree.before[0]) + ")";
}

/* ---- words ---- */

function shortName(name, most) {
	return name.length > most ? name.slice(0, most) + ".." : name;
}

/* A name without the path of its package. */
function withoutPath(name) {
	const at = name.slice(1).search(/[< [(]/), head = at < 0 ? name : name.slice(0, at + 1);
	const rest = name.slice(head.lastIndexOf("/") + 1);
	return rest || name;
}

/* Columns of a fixed-width font. */
function columnsOf(text) {
	let n = 0;
	for (const c of text)
		n += c.codePointAt(0) >= 0x1000 ? 2 : 1;
	return n;
}

function fitting(text, columns) {
	let used = 0, cut = "";
	for (const c of text) {
		used += c.codePointAt(0) >= 0x1000 ? 2 : 1;
		if (used > columns)
			return cut + "..";
		if (used <= columns - 2)
			cut += c;
	}
	return text;
}

/* A frame's text: the mark and the name, without the path of its package where that has no room. */
function labelOf(tree, i, columns) {
	const mark = markText(tree, i), name = names[tree.name[i]], text = mark + name;
	if (text.length <= columns && columnsOf(text) <= columns)
		return text;
	return fitting(mark + withoutPath(name), columns);
}

function describe(tree, i, zoomed) {
	let text = shortName(names[tree.name[i]], 1000) + " (";
	if (compares)
		return text + comparedText(fateOf(tree, i), tree.before[i], tree.width[i], tree) + ")";
	text += valueText(tree.width[i]) + ", " + shareText(tree.width[i], tree.width[0]);
	if (zoomed > 0)
		text += ", " + shareText(tree.width[i], tree.width[zoomed]) + " of the zoomed";
	if (tree.own[i])
		text += ", self " + valueText(tree.own[i]);
	return text + ")";
}

function remainderText(tree, frames, width) {
	return frames.toLocaleString("en") + (frames === 1 ? " frame" : " frames") +
		", too narrow to draw (" + valueText(width) + ", " + shareText(width, tree.width[0]) + ")";
}

/* ---- search ---- */

/* Case matters where the expression has a capital. null: not a regular expression. */
function compile(text) {
	try {
		return new RegExp(text, text === text.toLowerCase() ? "i" : "");
	} catch (e) {
		return null;
	}
}

function matchNames(expression) {
	return names.map((name, i) => i !== REST && expression.test(name));
}

/* The width below a node whose stacks hold a match: each stack once, however often it matches. */
function matchedWidth(tree, node, matches) {
	for (let i = tree.parent[node]; i >= 0; i = tree.parent[i])
		if (matches[tree.name[i]])
			return tree.width[node];
	let sum = 0;
	for (let i = node; i < tree.end[node];) {
		const hit = matches[tree.name[i]];
		sum += hit ? tree.width[i] : 0;
		i = hit ? tree.end[i] : i + 1;
	}
	return sum;
}

/* ---- state in the fragment ---- */

function pathOf(tree, i) {
	const path = [];
	for (; i > 0; i = tree.parent[i])
		path.push(encodeURIComponent(names[tree.name[i]]));
	return path.reverse().join(";");
}

/* The frame at a path of names, as far as it goes. */
function nodeAt(tree, path) {
	let node = 0;
	for (const part of path ? path.split(";") : []) {
		const name = decodeURIComponent(part);
		let child = node + 1;
		while (child < tree.end[node] && names[tree.name[child]] !== name)
			child = tree.end[child];
		if (child >= tree.end[node])
			break;
		node = child;
	}
	return node;
}

/* "#x=..&s=.." as an object of its own: nothing is inherited. */
function readFragment() {
	const state = Object.create(null);
	for (const part of location.hash.slice(1).split("&")) {
		const at = part.indexOf("=");
		if (at > 0)
			state[part.slice(0, at)] = part.slice(at + 1);
	}
	return state;
}

let written = "", unwritten = null; /* the fragment; what it becomes after the next frame */

/* Whether somebody else changed it, which then counts. */
function isFragmentForeign() {
	if (location.hash === written)
		return false;
	written = location.hash;
	unwritten = null;
	return true;
}

function flushFragment() {
	const next = unwritten;
	unwritten = null;
	if (!next)
		return;
	written = next.hash;
	if (written === location.hash)
		return;
	if (next.push)
		location.hash = written;
	else
		location.replace(written || "#");
}

/*
 * push: Back undoes it. A browser takes as long for a new address as for drawing: so the drawing goes first. What
 * follows a step that Back undoes is part of it.
 */
function writeFragment(parts, push) {
	if (push)
		flushFragment();
	unwritten = { hash: parts.length ? "#" + parts.join("&") : "", push: push || unwritten && unwritten.push };
	requestAnimationFrame(() => setTimeout(flushFragment, 0));
}

readNames(textOf(".names"));
const whole = readTree(readNumbers(textOf(".tree")));
if (compares)
	findSides(whole);
