/* SPDX-License-Identifier: MIT */
/*
 * Zoom, search and keyboard of flamegraph.svg. What is drawn follows flame.c; the data's layout is told in
 * flamegraph.c.
 */
"use strict";
(function () {
const NS = "http://www.w3.org/2000/svg", XHTML = "http://www.w3.org/1999/xhtml";
const WIDTH = 1200, PAD = 10, HEAD = 76, ROW = 17, BOXES = 8000, ZOOMED_BOXES = 4000;
const LEVELS = 1000, LEAST_PX = 0.1, TEXT_PX = 36, EDGE_PX = 2;
const CALLERS = 100; /* shown below the zoomed frame; more are skipped */
const REST = 1;      /* the name of what the table leaves out */

const svg = document.currentScript && document.currentScript.ownerSVGElement || document.documentElement;
const alone = svg === document.documentElement;
const find = (selector) => svg.querySelector(selector);
const frames = find(".frames"), bar = find(".bar"), page = find(".page"), details = find(".details");
const notes = details.textContent;
const settings = find(".settings").dataset;
const scale = Math.pow(2, Number(settings.shift)), factor = Number(settings.factor);
const staticHeight = svg.viewBox.baseVal.height;

/* ---- the data ---- */

const names = [], colours = [];
let nodeName, parent, end, depth, own, width, count;

function textOf(selector) {
	return Array.from(svg.querySelectorAll(selector), (e) => e.textContent).join("");
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

function readNames(text, table) {
	const lines = text.split("\n");
	lines.pop();
	for (const line of lines) {
		colours.push(table[line.charCodeAt(0)]);
		names.push(line.slice(1).replace(/\\(.)/g, (all, c) => c === "n" ? "\n" : c === "r" ? "\r" : c));
	}
}

function readTree(numbers) {
	count = numbers.length / 3;
	nodeName = new Int32Array(count);
	parent = new Int32Array(count);
	end = new Int32Array(count);
	depth = new Int32Array(count);
	own = new Float64Array(count);
	const open = [];
	for (let i = 0; i < count; i++) {
		for (let up = numbers[3 * i]; up > 0; up--)
			end[open.pop()] = i;
		parent[i] = open.length ? open[open.length - 1] : -1;
		depth[i] = open.length;
		nodeName[i] = numbers[3 * i + 1];
		own[i] = numbers[3 * i + 2];
		open.push(i);
	}
	for (const i of open)
		end[i] = count;
	width = own.slice();
	for (let i = count - 1; i > 0; i--)
		width[parent[i]] += width[i];
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

function describe(i, most) {
	const name = names[nodeName[i]];
	let text = (name.length > most ? name.slice(0, most) + ".." : name) + " (";
	text += valueText(width[i]) + ", " + shareText(width[i], width[0]);
	if (zoomed)
		text += ", " + shareText(width[i], width[zoomed]) + " of the zoomed";
	if (own[i])
		text += ", self " + valueText(own[i]);
	return text + ")";
}

/* ---- drawing ---- */

let zoomed = 0, current = -1, term = "", matches = null;
let boxes = []; /* of the picture: { node, row, rect, text, frames } */
let whole = null; /* those of the whole picture, once it was drawn */

function px(w) {
	return w / width[zoomed] * (WIDTH - 2 * PAD);
}

/* Frames of the zoomed subtree, and runs of neighbours too narrow for one, in preorder; null: too many. */
function layOut(least, levels) {
	const list = [], next = new Map(), most = zoomed ? ZOOMED_BOXES : BOXES;
	let run = null;
	const finish = () => {
		if (run && px(run.width) >= least)
			list.push(run);
		run = null;
	};
	for (let i = zoomed; i < end[zoomed];) {
		const up = i === zoomed ? -1 : parent[i], start = i === zoomed ? 0 : next.get(up);
		if (i !== zoomed)
			next.set(up, start + width[i]);
		const drawn = nodeName[i] !== REST && depth[i] - depth[zoomed] < levels && px(width[i]) >= least;
		if (drawn || run && run.up !== up)
			finish();
		const level = depth[i] - depth[zoomed];
		if (!drawn) {
			run = run || { node: i, up: up, level: level, start: start, width: 0, frames: 0 };
			run.width += width[i];
			run.frames += end[i] - i;
			if (width[i] > width[run.node])
				run.node = i;
			i = end[i];
		} else {
			next.set(i, start);
			list.push({ node: i, up: up, level: level, start: start, width: width[i], frames: 0 });
			i++;
		}
		if (list.length > most)
			return null;
	}
	finish();
	return list.length > most ? null : list;
}

function fit() {
	let least = LEAST_PX, levels = LEVELS;
	for (;;) {
		const list = layOut(least, levels);
		if (list)
			return list;
		if (least < 1 || levels <= 50)
			least *= 1.5;
		else
			levels = Math.floor(levels * 7 / 10);
	}
}

function make(name, attributes, text) {
	const e = document.createElementNS(NS, name);
	for (const key in attributes)
		e.setAttribute(key, attributes[key]);
	if (text !== undefined)
		e.textContent = text;
	return e;
}

function fitting(name, columns) {
	let used = 0, cut = "";
	for (const c of name) {
		used += c.codePointAt(0) >= 0x1000 ? 2 : 1;
		if (used > columns)
			return cut + "..";
		if (used <= columns - 2)
			cut += c;
	}
	return name;
}

function titleOf(box) {
	if (box.frames)
		return box.frames.toLocaleString("en") + (box.frames === 1 ? " frame" : " frames") +
			", too narrow to draw (" + valueText(box.width) + ", " + shareText(box.width, width[0]) + ")";
	return describe(box.node, 1000);
}

function classOf(box, w) {
	const colour = box.frames ? "r" : box.caller ? "a" : "c" + colours[nodeName[box.node]];
	return w >= EDGE_PX ? colour + " w" : colour;
}

function drawBox(target, box, height) {
	const x = box.caller ? PAD : PAD + px(box.start), w = box.caller ? WIDTH - 2 * PAD : px(box.width);
	const y = height - PAD - (box.row + 1) * ROW;
	box.rect = make("rect", { class: classOf(box, w), x: x.toFixed(2), y: y, width: w.toFixed(2), height: 16 });
	box.rect.appendChild(make("title", {}, titleOf(box)));
	box.rect.box = box;
	target.appendChild(box.rect);
	if (w < TEXT_PX || box.frames)
		return;
	const label = fitting(names[nodeName[box.node]], Math.floor((w - 6) / 7.25));
	box.text = make("text", { x: (x + 3).toFixed(2), y: y + 12 }, label);
	target.appendChild(box.text);
}

/* The callers of the zoomed frame, from the root; the middle of many is left out. */
function callers() {
	const chain = [];
	for (let i = parent[zoomed]; i >= 0; i = parent[i])
		chain.push(i);
	chain.reverse();
	if (chain.length > CALLERS)
		chain.splice(1, chain.length - CALLERS);
	return chain;
}

function showWhole() {
	boxes = whole;
	const target = document.createDocumentFragment();
	for (const box of boxes)
		target.append(box.rect, ...(box.text ? [box.text] : []));
	place(target, staticHeight);
}

function place(target, height) {
	frames.replaceChildren(target);
	svg.setAttribute("viewBox", "0 0 " + WIDTH + " " + height);
	page.setAttribute("height", height);
	stretch();
	mark();
}

function draw() {
	if (!zoomed && whole)
		return showWhole();
	const chain = callers();
	boxes = chain.map((node, row) => ({ node: node, row: row, width: width[node], frames: 0, caller: true }));
	let rows = chain.length;
	for (const box of fit()) {
		box.row = chain.length + box.level;
		rows = Math.max(rows, box.row + 1);
		boxes.push(box);
	}
	const height = Math.max(staticHeight, HEAD + rows * ROW + PAD), target = document.createDocumentFragment();
	for (const box of boxes)
		drawBox(target, box, height);
	if (!zoomed)
		whole = boxes;
	place(target, height);
}

/* Takes over what stands there without script; false where that is something else. */
function adopt() {
	const rects = frames.querySelectorAll("rect"), list = fit();
	if (rects.length !== list.length)
		return false;
	list.forEach((box, i) => {
		const next = rects[i].nextElementSibling;
		box.row = box.level;
		box.rect = rects[i];
		box.rect.box = box;
		box.text = next && next.nodeName === "text" ? next : undefined;
	});
	boxes = whole = list;
	stretch();
	mark();
	return true;
}

/* ---- search ---- */

function compile(text) {
	try {
		return new RegExp(text, text === text.toLowerCase() ? "i" : "");
	} catch (e) {
		return null;
	}
}

/* The width of the zoomed frame whose stacks hold a match: each stack once, however often it matches. */
function matchedWidth() {
	for (let i = parent[zoomed]; i >= 0; i = parent[i])
		if (matches[nodeName[i]])
			return width[zoomed];
	let sum = 0;
	for (let i = zoomed; i < end[zoomed];) {
		if (matches[nodeName[i]]) {
			sum += width[i];
			i = end[i];
		} else {
			i++;
		}
	}
	return sum;
}

function setTerm(text) {
	const expression = text ? compile(text) : null;
	term = text;
	matches = expression ? names.map((name, i) => i !== REST && expression.test(name)) : null;
	mark();
	result.classList.toggle("x", Boolean(text && !expression));
	if (text && !expression)
		result.textContent = "not a regular expression";
}

function isMatch(box) {
	return Boolean(matches && !box.frames && matches[nodeName[box.node]]);
}

/* Shows what matches, what is current and the matched share. */
function mark() {
	for (const box of boxes) {
		const hit = isMatch(box);
		box.rect.classList.toggle("s", hit);
		box.rect.classList.toggle("f", box.node === current && !box.frames);
		if (box.text)
			box.text.classList.toggle("s", hit);
	}
	result.textContent = matches ? "matched " + shareText(matchedWidth(), width[zoomed]) : "";
	reset.style.display = zoomed ? "" : "none";
	clear.style.display = term ? "" : "none";
}

/* ---- the bar ---- */

function button(x, anchor, text, action) {
	const b = make("text", { class: "b" + anchor, x: x, y: 22, role: "button" }, text);
	b.addEventListener("click", action);
	bar.appendChild(b);
	return b;
}

const reset = button(PAD, "", "Reset zoom", () => go(0));
const clear = button(WIDTH - PAD - 60, " e", "Clear search", () => search(""));
button(WIDTH - PAD, " e", "Search", openSearch).classList.add("search");
const result = make("text", { class: "e result", x: WIDTH - PAD, y: 62, role: "status" });
bar.appendChild(result);
details.setAttribute("role", "status");

let field = null;

function closeSearch() {
	if (!field)
		return;
	field.remove();
	field = null;
}

function openSearch() {
	if (!field) {
		field = make("foreignObject", { x: WIDTH - PAD - 320, y: 28, width: 320, height: 24 });
		const input = document.createElementNS(XHTML, "input");
		input.setAttribute("aria-label", "search by regular expression");
		input.setAttribute("placeholder", "regular expression, Enter");
		input.value = term;
		input.addEventListener("input", () => setTerm(input.value));
		input.addEventListener("keydown", onFieldKey);
		field.appendChild(input);
		bar.appendChild(field);
	}
	field.firstChild.focus();
	field.firstChild.select();
}

function onFieldKey(event) {
	event.stopPropagation();
	if (event.key !== "Enter" && event.key !== "Escape")
		return;
	event.preventDefault();
	const text = event.key === "Enter" ? event.target.value : "";
	closeSearch();
	search(text);
}

/* ---- state in the fragment ---- */

function pathOf(i) {
	const path = [];
	for (; i > 0; i = parent[i])
		path.push(encodeURIComponent(names[nodeName[i]]));
	return path.reverse().join(";");
}

/* The frame at a path of names, as far as it goes. */
function nodeAt(path) {
	let node = 0;
	for (const part of path ? path.split(";") : []) {
		const name = decodeURIComponent(part);
		let child = node + 1;
		while (child < end[node] && names[nodeName[child]] !== name)
			child = end[child];
		if (child >= end[node])
			break;
		node = child;
	}
	return node;
}

function fragment() {
	const parts = [];
	if (zoomed)
		parts.push("x=" + pathOf(zoomed));
	if (term)
		parts.push("s=" + encodeURIComponent(term));
	return parts.length ? "#" + parts.join("&") : "";
}

let written = "";

/* push: Back undoes it. */
function remember(push) {
	written = fragment();
	if (written === location.hash)
		return;
	if (push)
		location.hash = written;
	else
		location.replace(written || "#");
}

function restore() {
	if (location.hash === written)
		return;
	written = location.hash;
	const state = { x: "", s: "" };
	for (const part of location.hash.slice(1).split("&"))
		state[part.slice(0, 1)] = part.slice(2);
	try {
		zoomed = nodeAt(state.x);
		current = zoomed || -1;
		setTerm(decodeURIComponent(state.s));
	} catch (e) {
		zoomed = 0; /* a fragment that is not ours */
	}
	draw();
	say(-1);
}

/* ---- actions ---- */

function say(i) {
	const text = i < 0 ? notes : describe(i);
	details.textContent = text.length > 160 ? text.slice(0, 60) + " .. " + text.slice(-96) : text;
}

function go(node) {
	if (!width[node])
		return;
	zoomed = node;
	current = node || -1;
	draw();
	say(current);
	remember(true);
}

function search(text) {
	setTerm(text);
	remember(false);
}

function select(node) {
	current = node;
	mark();
	say(node);
	const box = boxes.find((b) => b.node === node && !b.frames);
	if (box)
		box.rect.scrollIntoView({ block: "nearest" });
}

function isDrawn(node) {
	return boxes.some((b) => b.node === node && !b.frames);
}

function widestChild(node) {
	let best = -1;
	for (const box of boxes)
		if (!box.frames && parent[box.node] === node && (best < 0 || width[box.node] > width[best]))
			best = box.node;
	return best;
}

/* The next frame of the same level, to the left (-1) or right. */
function beside(node, step) {
	const level = boxes.filter((b) => !b.frames && depth[b.node] === depth[node]).map((b) => b.node);
	const at = level.indexOf(node) + step;
	return at >= 0 && at < level.length ? level[at] : -1;
}

function nextMatch(step) {
	const hits = boxes.filter(isMatch).map((b) => b.node);
	if (!hits.length)
		return -1;
	const at = hits.indexOf(current);
	return hits[at < 0 ? (step > 0 ? 0 : hits.length - 1) : (at + step + hits.length) % hits.length];
}

function move(key) {
	if (current < 0 || !isDrawn(current))
		return zoomed;
	switch (key) {
	case "ArrowUp":
		return widestChild(current);
	case "ArrowDown":
		return parent[current];
	case "ArrowLeft":
		return beside(current, -1);
	default:
		return beside(current, 1);
	}
}

function escape() {
	if (term)
		search("");
	else if (zoomed)
		go(0);
	else
		select(-1);
}

const KEYS = {
	Enter: () => current >= 0 && go(current),
	Escape: escape,
	0: () => go(0),
	"/": openSearch,
	F3: openSearch,
	n: () => choose(nextMatch(1)),
	N: () => choose(nextMatch(-1)),
};
for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"])
	KEYS[key] = () => choose(move(key));

function choose(node) {
	if (node >= 0)
		select(node);
}

function onKey(event) {
	const find = (event.ctrlKey || event.metaKey) && event.key === "f";
	const action = find ? openSearch : event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
	if (!action)
		return;
	event.preventDefault();
	action();
}

/* ---- beginning ---- */

function boxOf(event) {
	return event.target.box || null;
}

function ratio() {
	return Math.max(svg.clientWidth, 1) / WIDTH;
}

/* As high as the width of the window makes it. */
function stretch() {
	if (alone)
		svg.setAttribute("height", Math.ceil(svg.viewBox.baseVal.height * ratio()));
}

/* Keeps the bar in sight. */
function follow() {
	bar.setAttribute("transform", "translate(0 " + Math.max(0, Math.round(window.scrollY / ratio())) + ")");
}

readNames(textOf("metadata.names"), digitTable());
readTree(readNumbers(textOf("metadata.tree")));
svg.setAttribute("role", "application");
frames.addEventListener("click", (event) => boxOf(event) && go(boxOf(event).node));
frames.addEventListener("mouseover", (event) => {
	const box = boxOf(event);
	if (box)
		box.frames ? details.textContent = titleOf(box) : say(box.node);
});
frames.addEventListener("mouseout", () => say(current));
(alone ? window : svg).addEventListener("keydown", onKey);
window.addEventListener("hashchange", restore);
if (location.hash.length > 1 || !adopt())
	draw();
restore();
if (alone) {
	window.addEventListener("scroll", follow);
	window.addEventListener("resize", () => { stretch(); follow(); });
	window.scrollTo(0, Number(svg.getAttribute("height"))); /* tall pictures begin at their root */
}
})();
