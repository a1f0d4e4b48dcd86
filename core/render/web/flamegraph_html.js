/* SPDX-License-Identifier: MIT */
/*
 * flamegraph.html: a graph on a canvas, a table of functions, and a sandwich of one function. Only what is in sight is
 * drawn. The state is one object, its lasting part is in the fragment; everything is drawn anew from it.
 */
const ROW = 18, TEXT_PX = 30, LEAST_PX = 0.6, LINE = 22, FONT = "12px ui-monospace, Menlo, Consolas, monospace";
const HIT = "rgb(230,0,230)";
const HEAT_STEPS = [0.01, 0.03, 0.1, 0.25, 0.5];
const HEAT = {
	light: ["#f6f0d6", "#f8e2a6", "#fac97c", "#f9a95c", "#f28a50", "#e96a4c"],
	dark: ["#3b3a2f", "#4d4527", "#644a20", "#7a461d", "#8f3f1f", "#a33423"],
};
const EDGES = { light: ["", "#9c1c06", "#0b4f86", "#6b2f9c"], dark: ["", "#ff9d86", "#8cc4f2", "#cfa3f5"] };
const HELP = "arrows: move \u00b7 Enter: zoom \u00b7 0: all \u00b7 /: search \u00b7 n, N: matches \u00b7 " +
	"s: sandwich \u00b7 t: table \u00b7 i: icicle \u00b7 v: by value \u00b7 r: recursion \u00b7 a: align \u00b7 d: dark \u00b7 c: copy";

const state = {
	view: "both", icicle: false, byValue: false, collapse: false, right: false, fn: -1,
	zoomed: 0, term: "", sort: "total", up: false,
};
let tree = whole, current = -1, matches = null, theme = "";
let functions = null; /* of the table, once it is asked for */

function allFunctions() {
	return functions = functions || functionsOf(whole);
}

/* ---- elements ---- */

function make(name, attributes, ...children) {
	const e = document.createElement(name);
	for (const key in attributes || {})
		e.setAttribute(key, attributes[key]);
	e.append(...children);
	return e;
}

/* A browser lays out anew what is set, even to what it was. */
function setAttribute(e, key, value) {
	if (e.getAttribute(key) !== String(value))
		e.setAttribute(key, value);
}

function setText(e, text) {
	if (e.textContent !== text)
		e.textContent = text;
}

function button(text, title, action) {
	const b = make("button", { type: "button", title: title }, text);
	b.addEventListener("click", action);
	return b;
}

const main = document.querySelector("main");
const canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": "flame graph: arrow keys move, " +
	"Enter zooms, question mark tells the keys" });
const spacer = make("div", { class: "spacer" });
const graph = make("div", { class: "panel graph" }, canvas, spacer);
const header = make("div", { class: "header", role: "row" });
const rows = make("div", { class: "rows", role: "rowgroup", tabindex: 0, "aria-label": "functions" });
const table = make("div", { class: "panel table", role: "table" }, header, rows);
const rowSpacer = make("div", { class: "spacer" });
const details = make("div", { class: "details", role: "status" });
const tip = make("div", { class: "tip", hidden: "" });
const context = canvas.getContext("2d");
main.replaceChildren(table, graph);
if (compares)
	table.classList.add("compares");
rows.append(rowSpacer);

/* ---- the bar ---- */

const field = make("input", { type: "search", placeholder: "search: regular expression", "aria-label":
	"search functions by regular expression" });
const result = make("output", {});
const pressed = []; /* [button, whether it is pressed] */

function toggle(text, title, action, isOn) {
	const b = button(text, title, action);
	pressed.push([b, isOn]);
	return b;
}

function group(...buttons) {
	return make("div", { class: "group", role: "group" }, ...buttons);
}

function viewButton(view, text, title) {
	return toggle(text, title, () => change({ view: view }), () => state.view === view);
}

const sandwichButton = viewButton("sandwich", "Sandwich", "callers and callees of one function (s)");
const resetButton = button("Reset", "show all again (0)", () => change({ zoomed: 0, fn: -1, view:
	state.view === "sandwich" ? "both" : state.view }, true));

function legend() {
	const e = make("div", { class: "legend" }, "shrank");
	for (let i = 0; i < 9; i++)
		e.append(make("i", { "data-change": i }));
	e.append("grew; width: both sides together");
	return e;
}

const tools = make("div", { class: "tools" },
	group(viewButton("both", "Both", "table and graph (t)"), viewButton("flame", "Graph", "the graph alone (t)"),
		viewButton("table", "Table", "the table alone (t)"), sandwichButton),
	group(toggle("Flame", "root at the bottom (i)", () => change({ icicle: false }), () => !state.icicle),
		toggle("Icicle", "root at the top (i)", () => change({ icicle: true }), () => state.icicle)),
	compares ? legend() :
		group(toggle("By package", "colours by package (v)", () => change({ byValue: false }), () => !state.byValue),
			toggle("By value", "colours by share (v)", () => change({ byValue: true }), () => state.byValue)),
	group(toggle("Collapse recursion", "a function that calls itself is one frame (r)", () =>
		change({ collapse: !state.collapse, zoomed: 0 }), () => state.collapse)),
	group(toggle("Align right", "show the ends of names (a)", () => change({ right: !state.right }), () => state.right)),
	group(button("Dark/light", "the other theme (d)", switchTheme)),
	group(resetButton),
	make("div", { class: "search" }, field, result));
document.querySelector("header").after(tools);

const actions = make("div", { class: "actions" });
const actOn = {
	focus: button("Focus", "zoom to this frame (Enter)", () => change({ zoomed: current }, true)),
	sandwich: button("Sandwich", "callers and callees of this function (s)", () => sandwich(nameAt())),
	copy: button("Copy name", "(c)", copyName),
};
actions.append(...Object.values(actOn));
main.after(make("footer", {}, details, actions), tip);

/* ---- colours ---- */

const forced = matchMedia("(forced-colors: active)"), prefersDark = matchMedia("(prefers-color-scheme: dark)");
const palettes = { light: settings.light.split(","), dark: settings.dark.split(",") };

function isDark() {
	return theme ? theme === "dark" : prefersDark.matches;
}

function switchTheme() {
	theme = isDark() ? "light" : "dark";
	document.documentElement.className = theme;
	showAll();
}

/* Fills: these, then those of frames, and last that of hits, which covers the others. */
const CALLER = 0, OTHERS = 1, FRAME = 2;

/* What is drawn with; system colours where the user asks for them. */
function inks() {
	const dark = isDark(), kind = dark ? "dark" : "light";
	const frames = state.byValue && !compares ? HEAT[kind] : palettes[kind];
	if (forced.matches)
		return { ground: "Canvas", text: "CanvasText", edge: "CanvasText", hitText: "HighlightText", focus: "Highlight",
			edges: EDGES.light, fills: ["Canvas", "Canvas", ...frames.map(() => "Canvas"), "Highlight"] };
	return { ground: dark ? "#16181c" : "#ffffff", text: dark ? "#f4f4f4" : "#111111", edge: "", hitText: "#111111",
		focus: dark ? "#7ab8ff" : "#0a58ca", edges: EDGES[kind],
		fills: [dark ? "#33363d" : "#dedede", dark ? "#5d626b" : "#b4b8be", ...frames, HIT] };
}

/* Of a box: an index of the fills. */
function fillOf(box) {
	const t = box.tree, i = box.node;
	if (isHit(box))
		return ink.fills.length - 1;
	if (box.kind !== "frame")
		return box.kind === "rest" ? OTHERS : CALLER;
	if (compares)
		return FRAME + changeClass(t.before[i], t.width[i] - t.before[i]);
	return FRAME + (state.byValue ? stepOf(HEAT_STEPS, t.width[i] / t.width[0]) : colours[t.name[i]]);
}

/* ---- layout ---- */

let boxes = [], lines = [], height = 0; /* all boxes; by row from the top; of all rows */
const panel = { width: 0, tall: 0 };    /* the graph's, as it was measured last */

/* Reading a size makes the browser lay out what changed: so it is done once, before anything is changed. */
function measure() {
	const width = graph.clientWidth, tall = graph.clientHeight, same = width === panel.width && tall === panel.tall;
	Object.assign(panel, { width: width, tall: tall });
	return !same;
}

function addBox(row, x, w, t, node, kind, frames) {
	boxes.push({ row: row, x: x, w: w, tree: t, node: node, kind: kind, frames: frames || 0 });
}

/* The subtree of a node across the width; row(depth) says where. Narrow neighbours are one remainder. */
function layTree(t, root, width, row, skipRoot) {
	const k = width / (t.width[root] || 1), base = t.depth[root], next = t.next;
	let run = null, deepest = 0;
	const finish = () => {
		if (run && run.w * k >= LEAST_PX)
			addBox(row(run.depth), run.x * k, run.w * k, t, run.node, "rest", run.frames);
		run = null;
	};
	for (let i = root; i < t.end[root];) {
		const up = t.parent[i], depth = t.depth[i] - base, x = i === root ? 0 : next[up];
		const drawn = t.name[i] !== REST && t.width[i] * k >= LEAST_PX;
		if (i !== root)
			next[up] = x + t.width[i];
		if (drawn || run && run.up !== up)
			finish();
		if (!drawn) {
			run = run || { up: up, depth: depth, x: x, w: 0, node: i, frames: 0 };
			run.w += t.width[i];
			run.frames += t.end[i] - i;
			i = t.end[i];
			continue;
		}
		next[i] = x;
		if (i !== root || !skipRoot)
			addBox(row(depth), x * k, t.width[i] * k, t, i, "frame");
		deepest = Math.max(deepest, depth);
		i++;
	}
	finish();
	return deepest;
}

function depthOf(t, root, width) {
	const least = LEAST_PX / width * t.width[root];
	let deepest = 0;
	for (let i = root; i < t.end[root]; i = t.width[i] < least ? t.end[i] : i + 1)
		deepest = Math.max(deepest, t.depth[i] - t.depth[root]);
	return deepest;
}

let sandwiched = { fn: -1, callers: null, callees: null };

function sandwichTrees() {
	if (sandwiched.fn !== state.fn)
		sandwiched = { fn: state.fn, callers: callersOf(whole, state.fn), callees: calleesOf(whole, state.fn) };
	return sandwiched;
}

function laySandwich(width) {
	const { callers, callees } = sandwichTrees(), above = depthOf(callers, 0, width);
	layTree(callers, 0, width, (depth) => above - depth, true);
	return above + 1 + layTree(callees, 0, width, (depth) => above + depth, false);
}

function layGraph(width) {
	const chain = [];
	for (let i = tree.parent[state.zoomed]; i >= 0; i = tree.parent[i])
		chain.unshift(i);
	const count = chain.length + depthOf(tree, state.zoomed, width) + 1;
	const row = (level) => state.icicle ? level : count - 1 - level;
	chain.forEach((node, level) => addBox(row(level), 0, width, tree, node, "caller"));
	layTree(tree, state.zoomed, width, (depth) => row(chain.length + depth), false);
	return count;
}

function layOut() {
	const width = Math.max(panel.width, 50);
	boxes = [];
	const count = isSandwich() ? laySandwich(width) : layGraph(width);
	lines = Array.from({ length: count }, () => []);
	for (const box of boxes)
		if (box.row >= 0 && box.row < count)
			lines[box.row].push(box);
	height = count * ROW + 4;
	if (spacer.style.height !== height + "px")
		spacer.style.height = height + "px";
}

function isSandwich() {
	return state.view === "sandwich" && state.fn >= 0;
}

/* Pictures less high than their panel stand at its bottom, where flames begin. */
function lift() {
	return state.icicle && !isSandwich() ? 0 : Math.max(0, panel.tall - height);
}

/* ---- drawing ---- */

let ink = inks(), letter = 7.2;

function isHit(box) {
	return Boolean(matches && box.kind !== "rest" && matches[box.tree.name[box.node]]);
}

/* Calls fn(box, y) for what is in sight. */
function eachInSight(fn) {
	const top = painted.top - lift(), first = Math.max(0, Math.floor(top / ROW));
	const last = Math.min(lines.length, Math.ceil((top + panel.tall) / ROW));
	for (let row = first; row < last; row++)
		for (const box of lines[row])
			fn(box, row * ROW - top);
}

/*
 * Boxes begin and end on pixels of the screen, and one that lies between two of them is not drawn, unless it is a hit:
 * so a row has no more of them than pixels. Those of one fill are drawn together: setting a fill costs more than a box.
 */
function drawBoxes(ratio) {
	const rects = ink.fills.map(() => []), tall = Math.round((ROW - 1) * ratio), hits = rects.length - 1;
	eachInSight((box, y) => {
		const fill = fillOf(box), x = Math.round(box.x * ratio);
		const w = Math.max(Math.round((box.x + box.w) * ratio) - x, fill === hits ? 1 : 0);
		if (w)
			rects[fill].push(x, Math.round(y * ratio), w > 3 ? w - 1 : w);
	});
	context.setTransform(1, 0, 0, 1, 0, 0);
	rects.forEach((list, fill) => {
		context.fillStyle = ink.fills[fill];
		for (let i = 0; i < list.length; i += 3)
			context.fillRect(list[i], list[i + 1], list[i + 2], tall);
	});
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function drawText(box, y) {
	const columns = Math.floor((box.w - 8) / letter), name = names[box.tree.name[box.node]];
	let text = labelOf(box.tree, box.node, columns);
	if (state.right && columnsOf(name) > columns)
		text = ".." + name.slice(Math.max(0, name.length - columns + 2));
	context.fillStyle = isHit(box) ? ink.hitText : ink.text;
	context.fillText(text, box.x + 4, y + ROW - 6);
}

function drawEdge(box, y) {
	const fate = box.kind === "frame" ? fateOf(box.tree, box.node) : STAYED, edge = fate ? ink.edges[fate] : ink.edge;
	if (!edge)
		return;
	context.strokeStyle = edge;
	context.setLineDash(fate === GONE ? [4, 2] : fate === MOVED ? [1.5, 1.5] : []);
	context.strokeRect(box.x + 0.5, y + 0.5, box.w - 1.6, ROW - 2);
	context.setLineDash([]);
}

/* What boxes with room have on them, and where the keyboard is. */
function drawMarks() {
	eachInSight((box, y) => {
		if (box.w > 3)
			drawEdge(box, y);
		if (box.kind === "rest")
			return;
		if (box.w >= TEXT_PX)
			drawText(box, y);
		if (box.node === current && box.tree === shownTree(box)) {
			context.lineWidth = 2.5;
			context.strokeStyle = ink.focus;
			context.strokeRect(box.x + 1.2, y + 1.2, Math.max(box.w - 3, 1), ROW - 3.4);
			context.lineWidth = 1;
		}
	});
}

/* The tree that `current` is a node of. */
function shownTree(box) {
	return isSandwich() ? currentTree : tree;
}

let currentTree = whole;

const painted = { top: -1 }; /* what of the graph is in sight */

function paint() {
	const ratio = devicePixelRatio || 1, width = panel.width, tall = panel.tall;
	if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
		canvas.width = Math.round(width * ratio);
		canvas.height = Math.round(tall * ratio);
		canvas.style.width = width + "px";
		canvas.style.height = tall + "px";
	}
	painted.top = graph.scrollTop;
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.fillStyle = ink.ground;
	context.fillRect(0, 0, width, tall);
	context.font = FONT;
	drawBoxes(ratio);
	drawMarks();
}

/* ---- the table ---- */

const after = (f) => f.total, afterSelf = (f) => f.self;
const COLUMNS = compares ? [
	["name", "Function"], ["self", "Self", afterSelf], ["selfChange", "Change", (f) => f.self - f.selfBefore],
	["total", "Total", after], ["change", "Change", (f) => f.total - f.totalBefore],
	["percent", "Change %", (f) => f.totalBefore ? f.total / f.totalBefore - 1 : f.total ? Infinity : 0],
] : [
	["name", "Function"], ["self", "Self", afterSelf], ["selfShare", "Self %", afterSelf],
	["total", "Total", after], ["totalShare", "Total %", after],
];
let listed = [], chosen = -1; /* rows in order; the selected name */

function signed(value) {
	return value === 0 ? "0" : (value < 0 ? "\u2212" : "+") + valueText(Math.abs(value));
}

function changeWord(f) {
	if (!f.totalBefore)
		return f.total ? "new" : "";
	return f.total ? changeText(f.totalBefore, f.total) || "0%" : "gone";
}

function cellText(key, f) {
	const total = whole.width[0] - whole.before[0];
	switch (key) {
	case "selfShare": return shareText(f.self, total);
	case "totalShare": return shareText(f.total, total);
	case "selfChange": return signed(f.self - f.selfBefore);
	case "change": return signed(f.total - f.totalBefore);
	case "percent": return changeWord(f);
	default: return valueText(f[key]);
	}
}

let sorted = ""; /* by what `listed` is */

function sortRows() {
	const wanted = [state.sort, state.up, state.term].join(" ");
	if (sorted === wanted)
		return;
	sorted = wanted;
	const column = COLUMNS.find((c) => c[0] === state.sort) || COLUMNS[3], key = column[2], sign = state.up ? 1 : -1;
	listed = matches ? allFunctions().filter((f) => matches[f.name]) : allFunctions().slice();
	if (key)
		listed.sort((a, b) => sign * (key(a) - key(b)) || (names[a.name] < names[b.name] ? -1 : 1));
	else
		listed.sort((a, b) => sign * (names[a.name] < names[b.name] ? 1 : -1));
	rowSpacer.style.height = listed.length * LINE + "px";
}

function sortBy(key) {
	change({ sort: key, up: state.sort === key ? !state.up : false });
}

function makeHeader() {
	header.replaceChildren(...COLUMNS.map(([key, text]) => {
		const b = button(text, "sort by " + text.toLowerCase(), () => sortBy(key));
		return make("div", { role: "columnheader", "data-key": key }, b);
	}));
}

function showHeader() {
	for (const cell of header.children) {
		const on = cell.dataset.key === state.sort, text = COLUMNS.find((c) => c[0] === cell.dataset.key)[1];
		setAttribute(cell, "aria-sort", on ? (state.up ? "ascending" : "descending") : "none");
		setText(cell.firstChild, text + (on ? (state.up ? " \u25b2" : " \u25bc") : ""));
	}
}

/* The part that tells names apart comes first. */
function nameParts(name) {
	const short = withoutPath(name), path = name.slice(0, name.length - short.length);
	return path ? [short, make("span", { class: "path" }, path)] : [short];
}

function makeRow(f, i) {
	const row = make("div", { class: "row", role: "row", "aria-rowindex": i + 2 });
	row.style.top = i * LINE + "px";
	row.item = f;
	for (const [key] of COLUMNS) {
		const cell = make("div", { role: key === "name" ? "rowheader" : "cell" });
		cell.append(...(key === "name" ? nameParts(names[f.name]) : [cellText(key, f)]));
		if (key.endsWith("Share")) {
			cell.className = "share";
			cell.style.backgroundSize = 100 * (key === "selfShare" ? f.self : f.total) / whole.width[0] + "% 16px";
		}
		if (key === "name")
			cell.title = names[f.name];
		row.append(cell);
	}
	return row;
}

let made = ""; /* of what rows there are elements */

/* The rows in sight alone. */
function showRows() {
	if (state.view === "flame")
		return;
	sortRows();
	const first = Math.max(0, Math.floor(rows.scrollTop / LINE) - 5);
	const last = Math.min(listed.length, first + Math.ceil(rows.clientHeight / LINE) + 10);
	const wanted = first + " " + last + " " + sorted;
	if (made !== wanted)
		rows.replaceChildren(rowSpacer, ...listed.slice(first, last).map((f, i) => makeRow(f, first + i)));
	made = wanted;
	for (const row of rows.children)
		row.classList.toggle("selected", row !== rowSpacer && row.item.name === chosen);
}

/* The function of the table and of the graph. */
function choose(name) {
	chosen = name;
	showRows();
}

function moveRow(step) {
	const at = listed.findIndex((f) => f.name === chosen);
	const to = Math.max(0, Math.min(listed.length - 1, at < 0 ? 0 : at + step));
	if (!listed.length)
		return;
	rows.scrollTop = Math.max(Math.min(rows.scrollTop, to * LINE), (to + 1) * LINE - rows.clientHeight);
	choose(listed[to].name);
	say(functionText(chosen));
}

/* ---- words ---- */

function say(text) {
	setText(details, text);
}

function tell(box) {
	return box.kind === "rest" ? remainderText(box.tree, box.frames, box.w / panel.width * box.tree.width[0]) :
		describe(box.tree, box.node, isSandwich() ? 0 : state.zoomed);
}

function functionText(name) {
	const f = allFunctions().find((one) => one.name === name), total = whole.width[0] - whole.before[0];
	if (compares)
		return names[name] + ": now " + valueText(f.total) + ", before " + valueText(f.totalBefore) + " " + changeWord(f);
	return names[name] + " (" + valueText(f.total) + ", " + shareText(f.total, total) + ", self " + valueText(f.self) + ")";
}

function sayCurrent() {
	if (current >= 0)
		say(describe(currentTree, current, isSandwich() ? 0 : state.zoomed));
	else
		say(chosen > REST ? functionText(chosen) : "? tells the keys");
	for (const b of Object.values(actOn))
		b.disabled = current < 0 && chosen < 0;
}

function nameAt() {
	return current >= 0 ? currentTree.name[current] : chosen;
}

function copyName() {
	const name = nameAt();
	if (name < 0 || !navigator.clipboard)
		return;
	navigator.clipboard.writeText(names[name]).then(() => say("copied: " + names[name]),
		() => say("this browser does not let the name be copied"));
}

function sandwich(name) {
	if (name > REST)
		change({ view: "sandwich", fn: name }, true);
}

/* ---- search ---- */

function setTerm(text) {
	const expression = text ? compile(text) : null;
	state.term = text;
	matches = expression ? matchNames(expression) : null;
	result.classList.toggle("bad", Boolean(text && !expression));
	if (field.value !== text)
		field.value = text;
	showMatched();
}

function showMatched() {
	if (state.term && !matches)
		result.textContent = "not a regular expression";
	else
		result.textContent = matches ? "matched " + shareText(matchedWidth(tree, state.zoomed, matches),
			tree.width[state.zoomed]) : "";
}

/* ---- the state ---- */

const FLAGS = { i: "icicle", c: "byValue", r: "collapse", a: "right" };

function remember(push) {
	const parts = [];
	if (state.view !== "both")
		parts.push("v=" + state.view);
	for (const key in FLAGS)
		if (state[FLAGS[key]])
			parts.push(key + "=1");
	if (state.sort !== "total" || state.up)
		parts.push("o=" + state.sort + (state.up ? "-up" : ""));
	if (state.fn >= 0 && state.view === "sandwich")
		parts.push("f=" + encodeURIComponent(names[state.fn]));
	if (state.zoomed)
		parts.push("x=" + pathOf(tree, state.zoomed));
	if (state.term)
		parts.push("s=" + encodeURIComponent(state.term));
	writeFragment(parts, push);
}

function decoded(text) {
	try {
		return decodeURIComponent(text || "");
	} catch (e) {
		return "";
	}
}

function restore() {
	const wanted = readFragment(), order = (wanted.o || "total").split("-");
	state.view = ["flame", "table", "sandwich"].includes(wanted.v) ? wanted.v : "both";
	for (const key in FLAGS)
		state[FLAGS[key]] = wanted[key] === "1";
	state.sort = COLUMNS.some((c) => c[0] === order[0]) ? order[0] : "total";
	state.up = order[1] === "up";
	state.fn = names.indexOf(decoded(wanted.f), REST + 1);
	if (state.view === "sandwich" && state.fn < 0)
		state.view = "both";
	chosen = state.view === "sandwich" ? state.fn : -1;
	chooseTree();
	try {
		state.zoomed = nodeAt(tree, wanted.x);
	} catch (e) {
		state.zoomed = 0; /* a fragment that is not ours */
	}
	current = state.zoomed || -1;
	setTerm(decoded(wanted.s));
	showAll();
}

let collapsed = null;

function chooseTree() {
	if (state.collapse && !collapsed)
		collapsed = withoutRecursion(whole);
	const wanted = state.collapse ? collapsed : whole;
	if (wanted !== tree)
		current = -1;
	tree = wanted;
	if (!isSandwich())
		currentTree = tree;
}

/* push: Back undoes it. */
function change(what, push) {
	Object.assign(state, what);
	if (state.view === "sandwich" && state.fn < 0) {
		sortRows();
		state.fn = nameAt() > REST ? nameAt() : listed.length ? listed[0].name : -1;
	}
	if (what.zoomed !== undefined || what.view !== undefined || what.fn !== undefined) {
		current = isSandwich() ? -1 : state.zoomed || -1;
		currentTree = tree;
	}
	if (state.zoomed < 0)
		state.zoomed = 0;
	chooseTree();
	if (isSandwich())
		chosen = state.fn;
	showAll();
	remember(push);
}

/* The table comes before what is only written: its place in the document is read. */
function showAll() {
	main.className = state.view === "table" ? "only-table" : state.view === "flame" ? "only-graph" : "";
	measure();
	showRows();
	showHeader();
	for (const [b, isOn] of pressed)
		setAttribute(b, "aria-pressed", isOn());
	resetButton.disabled = !state.zoomed && !isSandwich();
	const kind = isDark() ? "dark" : "light";
	for (const e of document.querySelectorAll("[data-change]"))
		e.style.background = palettes[kind][e.dataset.change];
	ink = inks();
	showGraph(true);
	showMatched();
	sayCurrent();
}

function showGraph(place) {
	if (state.view === "table")
		return;
	layOut();
	if (place)
		graph.scrollTop = placeOf();
	paint();
}

/* Flames begin at the bottom, icicles at the top, a sandwich with its function in the middle. */
function placeOf() {
	if (isSandwich())
		return (depthOf(sandwichTrees().callers, 0, panel.width) + 1) * ROW - panel.tall / 2;
	return state.icicle ? 0 : height;
}

/* ---- pointing ---- */

function boxAt(event) {
	const area = canvas.getBoundingClientRect(), x = event.clientX - area.left;
	const line = lines[Math.floor((event.clientY - area.top + graph.scrollTop - lift()) / ROW)] || [];
	return line.find((box) => x >= box.x && x < box.x + Math.max(box.w, 1));
}

function pick(box) {
	if (box.kind === "rest" && box.frames)
		return change({ zoomed: isSandwich() ? state.zoomed : box.node }, true);
	if (isSandwich())
		return sandwich(box.tree.name[box.node]);
	chosen = box.tree.name[box.node];
	change({ zoomed: box.node }, true);
}

function showTip(event, box) {
	const text = tell(box), name = box.kind === "rest" ? "" : names[box.tree.name[box.node]];
	tip.replaceChildren(...(name ? [make("b", {}, shortName(name, 300)), make("br"),
		text.slice(shortName(name, 1000).length + 2, -1)] : [text]));
	tip.hidden = false;
	const w = tip.offsetWidth, h = tip.offsetHeight;
	tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 8)) + "px";
	tip.style.top = (event.clientY + 18 + h > innerHeight ? event.clientY - h - 10 : event.clientY + 18) + "px";
}

canvas.addEventListener("click", (event) => {
	const box = boxAt(event);
	if (box)
		pick(box);
});
canvas.addEventListener("mousemove", (event) => {
	const box = boxAt(event);
	canvas.style.cursor = box ? "pointer" : "";
	if (box)
		showTip(event, box);
	else
		tip.hidden = true;
});
canvas.addEventListener("mouseleave", () => { tip.hidden = true; });
graph.addEventListener("scroll", () => {
	if (graph.scrollTop !== painted.top)
		paint();
});
rows.addEventListener("scroll", showRows);
rows.addEventListener("click", (event) => {
	const row = event.target.closest(".row");
	if (!row)
		return;
	current = -1;
	chosen = row.item.name;
	showMatchesOf(chosen);
});
rows.addEventListener("dblclick", (event) => {
	const row = event.target.closest(".row");
	if (row)
		sandwich(row.item.name);
});

/* A row that is clicked shows where its function is: the widest frame of it becomes the current one. */
function showMatchesOf(name) {
	let best = -1;
	for (let i = 1; i < tree.count; i++)
		if (tree.name[i] === name && (best < 0 || tree.width[i] > tree.width[best]))
			best = i;
	if (!isSandwich()) {
		current = best;
		currentTree = tree;
	}
	showRows();
	paint();
	sayCurrent();
}

/* ---- keys ---- */

function frameBoxes() {
	return boxes.filter((b) => b.kind !== "rest" && b.tree === currentTree);
}

function widestChild(node) {
	let best = -1;
	for (const b of frameBoxes())
		if (currentTree.parent[b.node] === node && (best < 0 || currentTree.width[b.node] > currentTree.width[best]))
			best = b.node;
	return best;
}

function beside(node, step) {
	const level = frameBoxes().filter((b) => currentTree.depth[b.node] === currentTree.depth[node]).map((b) => b.node);
	const at = level.indexOf(node) + step;
	return at >= 0 && at < level.length ? level[at] : -1;
}

function nextMatch(step) {
	const hits = boxes.filter((b) => isHit(b) && b.tree === currentTree).map((b) => b.node).sort((a, b) => a - b);
	if (!hits.length)
		return -1;
	const at = hits.indexOf(current);
	return hits[at < 0 ? (step > 0 ? 0 : hits.length - 1) : (at + step + hits.length) % hits.length];
}

function select(node) {
	if (node < 0)
		return;
	current = node;
	chosen = currentTree.name[node];
	const box = boxes.find((b) => b.node === node && b.tree === currentTree && b.kind !== "rest");
	if (box) {
		const y = box.row * ROW + lift();
		graph.scrollTop = Math.max(Math.min(graph.scrollTop, y), y + ROW - panel.tall);
	}
	showRows();
	paint();
	sayCurrent();
}

function arrow(key) {
	if (isSandwich() && currentTree !== sandwiched.callees && currentTree !== sandwiched.callers) {
		currentTree = sandwiched.callees;
		return 0;
	}
	if (current < 0 || !frameBoxes().some((b) => b.node === current))
		return isSandwich() ? 0 : state.zoomed;
	const downwards = currentTree === sandwiched.callees || !isSandwich() && state.icicle;
	if (key === "ArrowLeft" || key === "ArrowRight")
		return beside(current, key === "ArrowLeft" ? -1 : 1);
	if (isSandwich() && current === 0) {
		currentTree = key === "ArrowUp" ? sandwiched.callers : sandwiched.callees;
		return widestChild(0);
	}
	return (key === "ArrowDown") === downwards ? widestChild(current) : currentTree.parent[current];
}

function escape() {
	if (state.term) {
		setTerm("");
		change({});
	} else if (isSandwich()) {
		change({ view: "both", fn: -1 }, true);
	} else if (state.zoomed) {
		change({ zoomed: 0 }, true);
	} else {
		current = chosen = -1;
		showAll();
	}
}

function enter() {
	if (isSandwich())
		sandwich(nameAt());
	else if (current >= 0)
		change({ zoomed: current }, true);
}

const VIEWS = ["both", "flame", "table"];
const KEYS = {
	Enter: enter, Escape: escape, c: copyName, d: switchTheme,
	0: () => change({ zoomed: 0, fn: -1, view: isSandwich() ? "both" : state.view }, true),
	"/": () => field.focus(), F3: () => field.focus(),
	n: () => select(nextMatch(1)), N: () => select(nextMatch(-1)),
	s: () => sandwich(nameAt()),
	t: () => change({ view: VIEWS[(VIEWS.indexOf(state.view) + 1) % VIEWS.length] }),
	i: () => change({ icicle: !state.icicle }),
	v: () => compares || change({ byValue: !state.byValue }),
	r: () => change({ collapse: !state.collapse, zoomed: 0 }),
	a: () => change({ right: !state.right }),
	"?": () => say(HELP),
};
for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"])
	KEYS[key] = () => select(arrow(key));

const ROW_KEYS = {
	ArrowUp: () => moveRow(-1), ArrowDown: () => moveRow(1), PageUp: () => moveRow(-20), PageDown: () => moveRow(20),
	Home: () => moveRow(-listed.length), End: () => moveRow(listed.length),
	Enter: () => sandwich(chosen),
};

function onKey(event) {
	const find = (event.ctrlKey || event.metaKey) && event.key === "f";
	const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
	const onButton = event.target.closest("button") && (event.key === "Enter" || event.key === " ");
	if (event.target === field || onButton || !plain && !find)
		return;
	const action = find ? KEYS["/"] : event.target === rows && ROW_KEYS[event.key] || KEYS[event.key];
	if (!action)
		return;
	event.preventDefault();
	action();
}

field.addEventListener("input", () => {
	setTerm(field.value);
	showRows();
	paint();
	remember(false);
});
field.addEventListener("keydown", (event) => {
	if (event.key === "Escape")
		setTerm("");
	if (event.key === "Enter" || event.key === "Escape") {
		event.preventDefault();
		change({});
		(state.view === "table" ? rows : canvas).focus();
	}
});
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => {
	if (isFragmentForeign())
		restore();
});
for (const query of [forced, prefersDark])
	query.addEventListener("change", showAll);

/* ---- beginning ---- */

context.font = FONT;
letter = context.measureText("0".repeat(100)).width / 100;
makeHeader();
isFragmentForeign();
restore();
new ResizeObserver(() => {
	if (measure())
		showGraph(false);
	showRows();
}).observe(main);
