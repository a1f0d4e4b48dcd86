// SPDX-License-Identifier: MIT
//
// What the browser tests share: the pictures, the browser, and a page that refuses requests, dialogs and errors.
//
//     node tests/browser/NAME.mjs BUILD_DIR [SCREENSHOT_DIR]
//
// The pictures are those that BUILD_DIR/tests/test_render_* write. Needs chromium (CHROMIUM, or in the PATH) and the
// npm package playwright-core (found from here, from the working directory, or in PLAYWRIGHT_CORE); says SKIPPED and
// ends with 77 where one is missing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

function skip(why) {
	console.log('SKIPPED: ' + why);
	process.exit(77);
}

function findPlaywright() {
	const places = [import.meta.url, pathToFileURL(join(process.cwd(), 'x')).href];
	if (process.env.PLAYWRIGHT_CORE)
		places.push(pathToFileURL(join(resolve(process.env.PLAYWRIGHT_CORE), 'x')).href);
	for (const place of places) {
		try {
			return createRequire(place)('playwright-core');
		} catch {
			continue;
		}
	}
	return skip('playwright-core is not installed (npm install playwright-core)');
}

function findChromium() {
	if (process.env.CHROMIUM)
		return process.env.CHROMIUM;
	try {
		const names = ['chromium', 'chromium-browser', 'google-chrome'];
		return execFileSync('sh', ['-c', names.map((n) => 'command -v ' + n).join(' || ')]).toString().trim();
	} catch {
		return skip('chromium is not installed');
	}
}

const [, script, build, screenshots] = process.argv;
if (!build) {
	console.error(`usage: ${script} BUILD_DIR [SCREENSHOT_DIR]`);
	process.exit(2);
}
const { chromium } = findPlaywright();
const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox'] });
const folder = mkdtempSync(join(tmpdir(), 'pictures-'));
const problems = [];

/* Lets a unit test write its pictures. */
export function writePictures(test) {
	execFileSync(join(resolve(build), 'tests', test),
		{ env: { ...process.env, PROFILEFS_PICTURES: folder }, stdio: ['ignore', 'ignore', 'ignore'] });
}

export const addressOf = (picture) => pathToFileURL(join(folder, picture)).href;

export async function open(picture, { countDrawing: counts, ...options } = {}, fragment = '') {
	const address = addressOf(picture);
	const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, ...options });
	page.on('pageerror', (e) => problems.push(e.message));
	page.on('console', (m) => m.type() === 'error' && problems.push('console: ' + m.text()));
	page.on('dialog', (d) => {
		problems.push('a dialog: ' + d.message());
		d.dismiss();
	});
	page.on('request', (r) => {
		if (!r.url().startsWith(address))
			problems.push('a request: ' + r.url());
	});
	if (counts)
		await page.addInitScript(countDrawing);
	await page.goto(address + fragment);
	return page;
}

/* What an event brings about comes when it comes. */
export async function eventually(check) {
	for (const end = Date.now() + 5000; ;) {
		try {
			return await check();
		} catch (e) {
			if (Date.now() > end)
				throw e;
		}
	}
}

/* What act(i), run in the page, gives: for i from 0 on. */
export async function resultsOf(page, times, act) {
	const results = [];
	for (let i = 0; i < times; i++)
		results.push(await page.evaluate(act, i));
	return results;
}

/* What the machine's speed is just now, to read times by: they grow with what else it does. */
export async function machine(page) {
	const took = await page.evaluate(() => {
		const begin = performance.now();
		let x = 1;
		for (let i = 0; i < 1e8; i++)
			x = x * 1.0000001 + i % 7;
		return x ? performance.now() - begin : 0;
	});
	return `on a machine ${Math.max(1, took / 250).toFixed(1)} times slower than a quiet one`;
}

/* Counts what is drawn on canvases, in the page's `drawn`: rectangles, and those that cover the whole width. */
const countDrawing = () => {
	window.drawn = { rects: 0, grounds: 0 };
	const fill = CanvasRenderingContext2D.prototype.fillRect;
	CanvasRenderingContext2D.prototype.fillRect = function (x, y, w, h) {
		drawn.rects++;
		drawn.grounds += x === 0 && y === 0 && w === this.canvas.width && h === this.canvas.height;
		fill.call(this, x, y, w, h);
	};
};

export async function shoot(page, name) {
	if (screenshots)
		await page.screenshot({ path: join(screenshots, name + '.png') });
}

export async function run(tests) {
	let failed = 0;
	for (const [name, test] of Object.entries(tests)) {
		problems.length = 0;
		try {
			await test();
			assert.deepEqual(problems, []);
			console.log('ok - ' + name);
		} catch (e) {
			failed++;
			console.log('not ok - ' + name + '\n' + String(e.stack).split('\n').slice(0, 12).join('\n'));
		}
	}
	await browser.close();
	rmSync(folder, { recursive: true });
	process.exit(failed ? 1 : 0);
}
