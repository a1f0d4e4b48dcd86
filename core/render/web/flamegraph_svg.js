/* SPDX-License-Identifier: MIT */
/* Zoom, search and keyboard of flamegraph.svg. What is drawn follows flame.c. */
const NS = "http://www.w3.org/2000/svg", XHTML = "http://www.w3.org/1999/xhtml";
const WIDTH = 1200, PAD = 10, HEAD = compares ? 96 : 76, ROW = 17, ELEMENTS = 7900, ZOOMED_ELEMENTS = 4000;
const LEVELS = 1000, LEAST_PX = 0.1, TEXT_PX = 36, TITLE_PX = 3, EDGE_PX = 2;
const CALLERS = 100; /* shown below the zoomed frame; more are skipped */
const HELP = "arrows: move \u00b7 Enter: zoom \u00b7 0: all \u00b7 /: search \u00b7 n, N: next, previous match" +
	" \u00b7 c: copy the name \u00b7 Esc: back";

const svg = document.currentScript && document.currentScript.ownerSVGElement || document.documentElement;
const alone = svg === document.documentElement;
const find = (selector) => svg.querySelector(selector);
const frames = find(".frames"), bar = find(".bar"), page = find(".page"), details = find(".details");
const notes = details.textContent;
const staticHeight = svg.viewBox.baseVal.height;
const { name: nodeName, parent, end, depth, width, before, next } = whole;

/* ---- drawing ---- */

let zoomed = 0, current = -1, term = "", matches = null;
let boxes = []; /* of the picture: { node, row, rect, text, frames } */
let wholeBoxes = null; /* those of the whole picture, once it was drawn */

function px(w) {
	return w / width[zoomed] * (WIDTH - 2 * PAD);
}

function elementsOf(w, remainder) {
	return 1 + (w >= TITLE_PX) + (w >= TEXT_PX && !remainder);
}

/* Frames of the zoomed subtree, and runs of neighbours too narrow for one, in preorder; null: too many. */
function layOut(least, levels) {
	const list = [], most = zoomed ? ZOOMED_ELEMENTS : ELEMENTS, base = depth[zoomed];
	let run = null, elements = 0;
	const push = (box) => {
		elements += elementsOf(px(box.width), box.frames > 0);
		list.push(box);
	};
	const finish = () => {
		if (run && (px(run.width) >= least || depth[run.node] === 1))
			push(run);
		run = null;
	};
	for (let i = zoomed; i < end[zoomed];) {
		const up = i === zoomed ? -1 : parent[i], start = i === zoomed ? 0 : next[up];
		if (i !== zoomed)
			next[up] += width[i];
		const drawn = nodeName[i] !== REST && depth[i] - base < levels && px(width[i]) >= least;
		if (drawn || run && run.up !== up)
			finish();
		if (!drawn) {
			run = run || { node: i, up: up, level: depth[i] - base, start: start, width: 0, frames: 0 };
			run.width += width[i];
			run.frames += end[i] - i;
			if (width[i] > width[run.node])
				run.node = i;
			i = end[i];
		} else {
			next[i] = start;
			push({ node: i, up: up, level: depth[i] - base, start: start, width: width[i], frames: 0 });
			i++;
		}
		if (elements > most)
			return null;
	}
	finish();
	return elements > most ? null : list;
}

function fit() {
	let least = LEAST_PX, levels = LEVELS;
	for (;;) {
		const list = layOut(least, levels);
		if (list)
			return list;
		if (least < 1 || levels <= 50)
			least *= 1.25;
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

function titleOf(box) {
	return box.frames ? remainderText(whole, box.frames, box.width) : describe(whole, box.node, zoomed);
}

function classOf(box, w) {
	const i = box.node;
	let colour = box.frames ? "r" : box.caller ? "a" : "c" + colours[nodeName[i]];
	if (compares && !box.frames && !box.caller)
		colour = "d" + changeClass(before[i], width[i] - before[i]);
	if (w < EDGE_PX)
		return colour;
	return colour + (box.frames ? " w" : [" w", " n", " g", " v"][fateOf(whole, i)]);
}

function drawBox(target, box, height) {
	const x = box.caller ? PAD : PAD + px(box.start), w = box.caller ? WIDTH - 2 * PAD : px(box.width);
	const y = height - PAD - (box.row + 1) * ROW;
	box.rect = make("rect", { class: classOf(box, w), x: x.toFixed(2), y: y, width: w.toFixed(2), height: 16 });
	box.rect.box = box;
	if (w >= TITLE_PX)
		box.rect.appendChild(make("title", {}, titleOf(box)));
	target.appendChild(box.rect);
	if (w < TEXT_PX || box.frames)
		return;
	const label = labelOf(whole, box.node, Math.floor((w - 6) / 7.25));
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
	boxes = wholeBoxes;
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
	if (!zoomed && wholeBoxes)
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
		wholeBoxes = boxes;
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
	boxes = wholeBoxes = list;
	stretch();
	mark();
	return true;
}

/* ---- search ---- */

function setTerm(text) {
	const expression = text ? compile(text) : null;
	term = text;
	matches = expression ? matchNames(expression) : null;
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
	result.textContent = matches ? "matched " + shareText(matchedWidth(whole, zoomed, matches), width[zoomed]) : "";
	reset.style.display = zoomed ? "" : "none";
	clear.style.display = term ? "" : "none";
}

/* ---- the bar ---- */

function button(x, anchor, text, action) {
	const b = make("text", { class: "b" + anchor, x: x, y: 22, role: "button", tabindex: 0 }, text);
	b.addEventListener("click", action);
	b.addEventListener("keydown", (event) => {
		if (event.key !== "Enter" && event.key !== " ")
			return;
		event.preventDefault();
		event.stopPropagation();
		action();
	});
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

/* push: Back undoes it. */
function remember(push) {
	const parts = [];
	if (zoomed)
		parts.push("x=" + pathOf(whole, zoomed));
	if (term)
		parts.push("s=" + encodeURIComponent(term));
	writeFragment(parts, push);
}

function restore() {
	if (!isFragmentForeign())
		return;
	const state = readFragment();
	try {
		zoomed = nodeAt(whole, state.x);
		current = zoomed || -1;
		setTerm(decodeURIComponent(state.s || ""));
	} catch (e) {
		zoomed = 0; /* a fragment that is not ours */
	}
	draw();
	say(-1);
}

/* ---- actions ---- */

function say(i) {
	const text = i < 0 ? notes : describe(whole, i, zoomed);
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

function copyName() {
	if (current < 0 || !navigator.clipboard)
		return;
	navigator.clipboard.writeText(names[nodeName[current]]).then(
		() => { details.textContent = "copied: " + shortName(names[nodeName[current]], 140); },
		() => { details.textContent = "this browser does not let the name be copied"; });
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
	c: copyName,
	"?": () => { details.textContent = HELP; },
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

svg.setAttribute("role", "application");
svg.setAttribute("tabindex", "0");
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
