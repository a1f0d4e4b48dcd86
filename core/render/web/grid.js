/* SPDX-License-Identifier: MIT */
/*
 * Selecting a range of time in heatmap.svg, subsecond.svg and timeline.svg: drag, or arrows with Shift; the range's path
 * is told, copied (c), opened (Enter) and kept in the fragment.
 */
const NS = "http://www.w3.org/2000/svg";
const svg = document.currentScript && document.currentScript.ownerSVGElement || document.documentElement;
const grid = svg.querySelector(".grid").dataset, details = svg.querySelector(".details");
const left = Number(grid.left), columnWidth = Number(grid.column), top = Number(grid.top), bottom = Number(grid.bottom);
const counts = grid.counts.split(" ").map(Number), columns = counts.length;
const sharp = new Set(grid.sharp ? grid.sharp.split(" ").map(Number) : []);
const HELP = "drag, or arrow keys with Shift, select a range \u00b7 Enter: its flame graph \u00b7 c: copy its path";

let anchor = -1, cursor = -1, dragging = false, written = "";

function make(name, attributes, text) {
	const e = document.createElementNS(NS, name);
	for (const key in attributes)
		e.setAttribute(key, attributes[key]);
	if (text !== undefined)
		e.textContent = text;
	return e;
}

const shade = make("rect", { class: "sel", y: top, height: bottom - top, visibility: "hidden" });
const opener = make("a", { class: "open", visibility: "hidden" });
opener.append(make("text", { class: "b e", x: 1180, y: details.getAttribute("y") }, "open its flame graph"));
svg.append(shade, opener);
svg.setAttribute("role", "application");
svg.setAttribute("tabindex", "0");
details.setAttribute("role", "status");

/* ---- times ---- */

/* Nanoseconds since the epoch as paths have them: 2026-11-22T140530.25 */
function compact(ns) {
	const second = 1000000000n, rest = ((ns % second) + second) % second;
	const text = new Date(Number((ns - rest) / 1000000n)).toISOString().slice(0, 19).replace(/:/g, "");
	return rest ? text + "." + String(rest).padStart(9, "0").replace(/0+$/, "") : text;
}

function edge(i) {
	return BigInt(grid.from) + BigInt(i) * BigInt(grid.step) + (sharp.has(i) ? 1n : 0n);
}

function range() {
	return [Math.min(anchor, cursor), Math.max(anchor, cursor)];
}

function pathOf() {
	const [first, last] = range();
	return compact(edge(first)) + "--" + compact(edge(last + 1));
}

/* ---- the selection ---- */

function show() {
	const on = cursor >= 0, [first, last] = range();
	shade.setAttribute("visibility", on ? "visible" : "hidden");
	opener.setAttribute("visibility", on ? "visible" : "hidden");
	if (!on) {
		details.textContent = HELP;
		return;
	}
	const path = grid.prefix + pathOf(), sum = counts.slice(first, last + 1).reduce((a, b) => a + b, 0);
	shade.setAttribute("x", left + first * columnWidth);
	shade.setAttribute("width", (last - first + 1) * columnWidth);
	opener.setAttribute("href", path + "/flamegraph.svg");
	details.textContent = path + " \u00b7 " + sum.toLocaleString("en") + " " + grid.noun;
}

function remember() {
	written = cursor < 0 ? "" : "#t=" + pathOf();
	if (written !== location.hash)
		location.replace(written || "#");
}

function select(from, to) {
	anchor = from;
	cursor = to;
	show();
}

function clear() {
	select(-1, -1);
	remember();
}

function copyPath() {
	if (cursor < 0 || !navigator.clipboard)
		return;
	const path = grid.prefix + pathOf();
	navigator.clipboard.writeText(path).then(() => { details.textContent = "copied: " + path; },
		() => { details.textContent = path + " (this browser does not let it be copied)"; });
}

function restore() {
	if (location.hash === written && written)
		return;
	written = location.hash;
	const ends = location.hash.startsWith("#t=") ? location.hash.slice(3).split("--") : [];
	let first = -1, last = -1;
	for (let i = 0; ends.length === 2 && i <= columns; i++) {
		first = compact(edge(i)) === ends[0] ? i : first;
		last = compact(edge(i)) === ends[1] ? i - 1 : last;
	}
	if (first >= 0 && last >= first)
		select(first, last);
	else
		select(-1, -1);
}

/* ---- mouse ---- */

function columnAt(event) {
	const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
	if (point.y < top || point.y > bottom || point.x < left - 3 || point.x > left + columns * columnWidth + 3)
		return -1;
	return Math.max(0, Math.min(columns - 1, Math.floor((point.x - left) / columnWidth)));
}

svg.addEventListener("pointerdown", (event) => {
	const column = event.button === 0 && !event.ctrlKey && !event.metaKey ? columnAt(event) : -1;
	if (column < 0)
		return;
	dragging = true;
	select(event.shiftKey && anchor >= 0 ? anchor : column, column);
	event.preventDefault();
});
svg.addEventListener("pointermove", (event) => {
	const column = dragging ? columnAt(event) : -1;
	if (column >= 0)
		select(anchor, column);
});
window.addEventListener("pointerup", () => {
	if (dragging)
		remember();
	dragging = false;
});
svg.addEventListener("dragstart", (event) => event.preventDefault());
/* A cell is a link to its profiles; with script a click selects, Ctrl and a click follow the link. */
svg.addEventListener("click", (event) => {
	if (!event.ctrlKey && !event.metaKey && !event.target.closest(".open") && columnAt(event) >= 0)
		event.preventDefault();
});

/* ---- keys ---- */

function move(step, extend) {
	const to = cursor < 0 ? (step > 0 ? 0 : columns - 1) : Math.max(0, Math.min(columns - 1, cursor + step));
	select(extend && anchor >= 0 ? anchor : to, to);
	remember();
}

const KEYS = {
	ArrowLeft: (event) => move(-1, event.shiftKey), ArrowRight: (event) => move(1, event.shiftKey),
	PageUp: (event) => move(-10, event.shiftKey), PageDown: (event) => move(10, event.shiftKey),
	Home: (event) => move(-columns, event.shiftKey), End: (event) => move(columns, event.shiftKey),
	Escape: clear, c: copyPath, "?": () => { details.textContent = HELP; },
	Enter: () => { if (cursor >= 0) location.href = opener.getAttribute("href"); },
};

window.addEventListener("keydown", (event) => {
	const action = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
	if (!action || event.target.closest && event.target.closest("a") && event.key === "Enter")
		return;
	event.preventDefault();
	action(event);
});
window.addEventListener("hashchange", restore);
restore();
