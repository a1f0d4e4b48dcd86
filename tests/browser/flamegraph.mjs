// SPDX-License-Identifier: MIT
//
// What a user does with flamegraph.svg in a browser: clicks, searches, presses keys, goes back.
//
//     node tests/browser/flamegraph.mjs BUILD_DIR [SCREENSHOT_DIR]
//
// The picture is the one that BUILD_DIR/tests/test_render_flamegraph writes. Needs chromium (CHROMIUM, or in
// the PATH) and the npm package playwright-core (found from here, from the working directory, or in
// PLAYWRIGHT_CORE); says SKIPPED and ends with 77 where one is missing.
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

const [, , build, screenshots] = process.argv;
if (!build) {
	console.error('usage: flamegraph.mjs BUILD_DIR [SCREENSHOT_DIR]');
	process.exit(2);
}
const { chromium } = findPlaywright();
const executablePath = findChromium();
const folder = mkdtempSync(join(tmpdir(), 'flamegraph-'));
const file = join(folder, 'flamegraph.svg');
execFileSync(join(resolve(build), 'tests/test_render_flamegraph'),
	{ env: { ...process.env, PROFILEFS_FLAMEGRAPH: file }, stdio: ['ignore', 'ignore', 'ignore'] });
const address = pathToFileURL(file).href;

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const problems = [];

async function open(options = {}, fragment = '') {
	const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, ...options });
	page.on('pageerror', (e) => problems.push(e.message));
	page.on('dialog', (d) => {
		problems.push('a dialog: ' + d.message());
		d.dismiss();
	});
	page.on('request', (r) => {
		if (!r.url().startsWith(address))
			problems.push('a request: ' + r.url());
	});
	await page.goto(address + fragment);
	return page;
}

const titled = (page, name) => page.locator(`title:text-matches("^${name} \\\\(")`);
const frame = (page, name) => page.locator('.frames rect', { has: titled(page, name) }).first();
const text = (page, selector) => page.locator(selector).textContent();
const width = (locator) => locator.evaluate((e) => Number(e.getAttribute('width')));
const count = (page, selector) => page.locator(selector).count();
const current = (page) => page.locator('.frames rect.f title').textContent();

/* What an event brings about comes when it comes. */
async function eventually(check) {
	for (const end = Date.now() + 5000; ;) {
		try {
			return await check();
		} catch (e) {
			if (Date.now() > end)
				throw e;
		}
	}
}

const tests = {
	async 'is complete without script'() {
		const page = await open({ javaScriptEnabled: false });
		assert.equal(await width(frame(page, 'all')), 1180);
		assert.match(await page.content(), /3,000 frames below 0.1 px not drawn, 0.74% of the total/);
		await page.close();
	},

	async 'draws with script what it shows without'() {
		const boxes = async (options) => {
			const page = await open(options, options.javaScriptEnabled === false ? '' : '#s=');
			const list = await page.locator('.frames rect').evaluateAll((all) => all.map((e) => [
				e.getAttribute('class'), ...['x', 'y', 'width'].map((a) => Number(e.getAttribute(a)))]));
			await page.close();
			return list;
		};
		assert.deepEqual(await boxes({}), await boxes({ javaScriptEnabled: false }));
	},

	async 'a click zooms, Back returns'() {
		const page = await open();
		await frame(page, 'main.parse').click();
		assert.equal(await width(frame(page, 'main.parse')), 1180);
		await page.waitForURL(/#x=main\.main;main\.parse$/, { timeout: 5000 });
		assert.equal(await count(page, '.frames rect.a'), 2);
		assert.match(await text(page, '.details'), /^main\.parse \(2s, 49\.\d\d%, 100% of the zoomed\)$/);
		await frame(page, 'json.decode').click();
		assert.equal(await width(frame(page, 'json.decode')), 1180);
		await page.goBack();
		await eventually(async () => assert.equal(await width(frame(page, 'json.decode')), 885));
		assert.equal(await width(frame(page, 'main.parse')), 1180);
		await page.goBack();
		await eventually(async () => assert.equal(await count(page, '.frames rect.a'), 0));
		assert.equal(await width(frame(page, 'all')), 1180);
		await page.close();
	},

	async 'zooming shows what was too narrow'() {
		const page = await open();
		assert.equal(await count(page, '.frames rect:has(title:text("tail.f2999"))'), 0);
		await frame(page, 'main.tail').click();
		assert.equal(await count(page, '.frames rect:has(title:text("tail.f2999"))'), 1);
		assert.ok(await count(page, '.frames rect') <= 8000);
		await page.close();
	},

	async 'a search marks and counts recursion once'() {
		const page = await open();
		await page.locator('.search').click();
		await page.keyboard.type('^main\\.fib$');
		await page.keyboard.press('Enter');
		assert.equal(await count(page, '.frames rect.s'), 3);
		assert.equal(await frame(page, 'main.fib').evaluate((e) => getComputedStyle(e).fill), 'rgb(230, 0, 230)');
		assert.match(await text(page, '.result'), /^matched 49\.\d\d%$/);
		await page.waitForURL(/#s=%5Emain%5C\.fib%24$/, { timeout: 5000 });
		await page.keyboard.press('Escape');
		assert.equal(await count(page, '.frames rect.s'), 0);
		assert.equal(await text(page, '.result'), '');
		await page.close();
	},

	async 'a bad expression is told'() {
		const page = await open();
		await page.keyboard.press('Control+f');
		await page.keyboard.type('(');
		assert.equal(await text(page, '.result'), 'not a regular expression');
		await page.keyboard.press('Escape');
		assert.equal(await count(page, 'input'), 0);
		await page.close();
	},

	async 'keys move, zoom and return'() {
		const page = await open();
		await page.keyboard.press('ArrowUp');
		assert.match(await current(page), /^all /);
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		assert.match(await current(page), /^main\.(fib|parse) /);
		await page.keyboard.press('ArrowRight');
		await page.keyboard.press('ArrowRight');
		await page.keyboard.press('ArrowRight');
		await page.keyboard.press('ArrowLeft');
		assert.match(await current(page), /^main\.tail /);
		await page.keyboard.press('ArrowDown');
		assert.match(await current(page), /^main\.main /);
		await page.keyboard.press('Enter');
		await page.waitForURL(/#x=main\.main$/, { timeout: 5000 });
		await page.keyboard.press('0');
		assert.equal(await count(page, '.frames rect.a'), 0);
		await page.keyboard.press('/');
		await page.keyboard.type('json');
		await page.keyboard.press('Enter');
		await page.keyboard.press('n');
		assert.match(await current(page), /^json\.decode /);
		await page.keyboard.press('n');
		assert.match(await current(page), /^json\.scan /);
		await page.keyboard.press('N');
		assert.match(await current(page), /^json\.decode /);
		await page.close();
	},

	async 'a link holds zoom and search'() {
		const page = await open({}, '#x=main.main;main.fib;main.fib&s=fib');
		assert.equal(await count(page, '.frames rect.a'), 3);
		assert.equal(await text(page, '.result'), 'matched 100%');
		await page.locator('text=Reset zoom').click();
		await page.waitForURL(/#s=fib$/, { timeout: 5000 });
		await page.close();
	},

	async 'a foreign fragment does no harm'() {
		const page = await open({}, '#x=%E0%A4%A&s=%zz&toString=1');
		assert.equal(await width(frame(page, 'all')), 1180);
		await page.close();
	},

	async 'hostile names are text'() {
		const page = await open();
		const names = await page.locator('.frames rect title').allTextContents();
		const hostile = '<img src=x onerror=alert(1)>\n\\ "\'&amp;]]> (1ms, ';
		assert.ok(names.some((n) => n.startsWith(hostile)), names.join('\n'));
		assert.equal(await count(page, 'img'), 0);
		await page.close();
	},

	async 'follows the colour scheme'() {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open({ colorScheme });
			const ground = await page.locator('.page').evaluate((e) => getComputedStyle(e).fill);
			assert.equal(ground, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 24, 28)');
			if (screenshots)
				await page.screenshot({ path: join(screenshots, `flamegraph-${colorScheme}.png`) });
			await page.close();
		}
	},
};

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
