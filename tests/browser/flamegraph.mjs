// SPDX-License-Identifier: MIT
//
// What a user does with flamegraph.svg in a browser: clicks, searches, presses keys, goes back.
import assert from 'node:assert/strict';
import { addressOf, eventually, machine, open, resultsOf, run, shoot, writePictures } from './lib/harness.mjs';

const PICTURE = 'small-flamegraph.svg';
writePictures('test_render_flamegraph');

const titled = (page, name) => page.locator(`title:text-matches("^${name} \\\\(")`);
const frame = (page, name) => page.locator('.frames rect', { has: titled(page, name) }).first();
const text = (page, selector) => page.locator(selector).textContent();
const width = (locator) => locator.evaluate((e) => Number(e.getAttribute('width')));
const count = (page, selector) => page.locator(selector).count();
const current = (page) => page.locator('.frames rect.f title').textContent();

const tests = {
	async 'is complete without script'() {
		const page = await open(PICTURE, { javaScriptEnabled: false });
		assert.equal(await width(frame(page, 'all')), 1180);
		assert.match(await page.content(), /3,000 frames below 0.1 px not drawn, 0.73% of the total/);
		await page.close();
	},

	async 'draws with script what it shows without'() {
		const boxes = async (options) => {
			const page = await open(PICTURE, options, options.javaScriptEnabled === false ? '' : '#s=');
			const list = await page.locator('.frames rect').evaluateAll((all) => all.map((e) => [
				e.getAttribute('class'), ...['x', 'y', 'width'].map((a) => Number(e.getAttribute(a)))]));
			await page.close();
			return list;
		};
		assert.deepEqual(await boxes({}), await boxes({ javaScriptEnabled: false }));
	},

	async 'a click zooms, Back returns'() {
		const page = await open(PICTURE);
		await frame(page, 'main.parse').click();
		assert.equal(await width(frame(page, 'main.parse')), 1180);
		await page.waitForURL(/#x=main\.main;main\.parse$/, { timeout: 5000 });
		assert.equal(await count(page, '.frames rect.a'), 2);
		assert.match(await text(page, '.details'), /^main\.parse \(2s, 48\.\d\d%, 100% of the zoomed\)$/);
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
		const page = await open(PICTURE);
		assert.ok(await count(page, '.frames rect') < 20);
		await frame(page, 'main.tail').click();
		assert.ok(await count(page, '.frames rect.r') + await count(page, '.frames rect') > 1000);
		assert.ok(await count(page, '.frames *') <= 8000);
		await page.locator('.frames rect').nth(500).click();
		assert.match(await text(page, '.details'), /^tail\.f0\d+ \(10us, /);
		await page.close();
	},

	async 'a search marks and counts recursion once'() {
		const page = await open(PICTURE);
		await page.locator('.search').click();
		await page.keyboard.type('^main\\.fib$');
		await page.keyboard.press('Enter');
		assert.equal(await count(page, '.frames rect.s'), 3);
		assert.equal(await frame(page, 'main.fib').evaluate((e) => getComputedStyle(e).fill), 'rgb(230, 0, 230)');
		assert.match(await text(page, '.result'), /^matched 48\.\d\d%$/);
		await page.waitForURL(/#s=%5Emain%5C\.fib%24$/, { timeout: 5000 });
		await page.keyboard.press('Escape');
		assert.equal(await count(page, '.frames rect.s'), 0);
		assert.equal(await text(page, '.result'), '');
		await page.close();
	},

	async 'a bad expression is told'() {
		const page = await open(PICTURE);
		await page.keyboard.press('Control+f');
		await page.keyboard.type('(');
		assert.equal(await text(page, '.result'), 'not a regular expression');
		await page.keyboard.press('Escape');
		assert.equal(await count(page, 'input'), 0);
		await page.close();
	},

	async 'keys move, zoom and return'() {
		const page = await open(PICTURE);
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
		const page = await open(PICTURE, {}, '#x=main.main;main.fib;main.fib&s=fib');
		assert.equal(await count(page, '.frames rect.a'), 3);
		assert.equal(await text(page, '.result'), 'matched 100%');
		await page.locator('text=Reset zoom').click();
		await page.waitForURL(/#s=fib$/, { timeout: 5000 });
		await page.close();
	},

	async 'a foreign fragment does no harm'() {
		const page = await open(PICTURE, {}, '#x=%E0%A4%A&s=%zz&toString=1');
		assert.equal(await width(frame(page, 'all')), 1180);
		await page.close();
	},

	async 'hostile names are text'() {
		const page = await open(PICTURE);
		const names = await page.locator('.frames rect title').allTextContents();
		const hostile = '<img src=x onerror=alert(1)>\n\\ "\'&amp;]]></script> (100ms, ';
		assert.ok(names.some((n) => n.startsWith(hostile)), names.join('\n'));
		assert.equal(await count(page, 'img'), 0);
		await page.close();
	},

	async 'follows the colour scheme'() {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open(PICTURE, { colorScheme });
			const ground = await page.locator('.page').evaluate((e) => getComputedStyle(e).fill);
			assert.equal(ground, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 24, 28)');
			await shoot(page, `flamegraph-${colorScheme}`);
			await page.close();
		}
	},

	async 'forced colours are the system\'s'() {
		const page = await open(PICTURE, { forcedColors: 'active' });
		const [fill, system] = await page.locator('.frames rect').first().evaluate((e) => {
			const probe = document.documentElement.appendChild(document.createElementNS(e.namespaceURI, 'rect'));
			probe.style.fill = 'Canvas';
			return [getComputedStyle(e).fill, getComputedStyle(probe).fill];
		});
		assert.equal(fill, system);
		await page.close();
	},

	async 'buttons have the keyboard'() {
		const page = await open(PICTURE);
		await page.locator('.search').focus();
		await page.keyboard.press('Enter');
		assert.equal(await count(page, 'input'), 1);
		await page.close();
	},

	async 'works under its policy'() {
		const { readFileSync } = await import('node:fs');
		const { createServer } = await import('node:http');
		const { fileURLToPath } = await import('node:url');
		const bytes = readFileSync(fileURLToPath(addressOf(PICTURE)));
		const policy = /Content-Security-Policy: (.*) -->/.exec(bytes.toString())[1];
		const server = createServer((request, response) => {
			response.writeHead(200, { 'content-type': 'image/svg+xml', 'content-security-policy': policy });
			response.end(bytes);
		});
		await new Promise((done) => server.listen(0, '127.0.0.1', done));
		const page = await open(PICTURE);
		page.removeAllListeners('request');
		await page.goto(`http://127.0.0.1:${server.address().port}/`);
		await frame(page, 'main.parse').click();
		assert.equal(await count(page, '.frames rect.a'), 2);
		await page.close();
		server.close();
	},

	async 'a comparison says what changed'() {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open('compared-flamegraph.svg', { colorScheme });
			const stroke = (name) => frame(page, name).evaluate((e) => getComputedStyle(e).strokeDasharray);
			assert.equal(await stroke('new\\.Render'), 'none');
			assert.notEqual(await stroke('old\\.Render'), 'none');
			await shoot(page, `compared-${colorScheme}`);
			await frame(page, 'json\\.Encode').click();
			assert.match(await text(page, '.details'), /^json\.Encode \(grew by 100ms, \+25%: now 500ms/);
			assert.equal(await page.locator('.frames text').last().textContent(), '+25% json.Encode');
			await page.close();
		}
	},

	async 'a comparison is drawn with script as without'() {
		const look = async (options, fragment) => {
			const page = await open('compared-flamegraph.svg', options, fragment);
			const list = await page.locator('.frames rect, .frames text').evaluateAll((all) => all.map((e) => [
				e.getAttribute('class'), e.getAttribute('x'), e.getAttribute('y'), e.getAttribute('width'), e.textContent]));
			await page.close();
			return list.map(([c, x, y, w, t]) => [c && c.trim(), Number(x), Number(y), Number(w), t]);
		};
		assert.deepEqual(await look({}, '#s='), await look({ javaScriptEnabled: false }, ''));
	},

	/* Times are told and depend on the machine; how many elements there are does not. */
	async 'a hundred thousand frames are quick'() {
		const { statSync } = await import('node:fs');
		const { fileURLToPath } = await import('node:url');
		assert.ok(statSync(fileURLToPath(addressOf('big-flamegraph.svg'))).size < 3e6);
		const page = await open('big-flamegraph.svg');
		assert.ok(await count(page, '*') <= 8000);
		const loaded = await page.evaluate(() => performance.now());
		const zooms = await resultsOf(page, 6, async (i) => {
			const rects = Array.from(document.querySelectorAll('.frames rect'))
				.filter((e) => Number(e.getAttribute('width')) > 100);
			const begin = performance.now();
			rects[i % 2 ? 0 : 3].dispatchEvent(new MouseEvent('click', { bubbles: true }));
			const work = performance.now() - begin;
			await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
			return { work, frame: performance.now() - begin, elements: document.querySelectorAll('*').length };
		});
		const least = (key) => Math.min(...zooms.map((zoom) => zoom[key])).toFixed(1);
		console.log(`# flamegraph.svg, 100,000 frames: loaded ${loaded.toFixed(0)} ms, zoom ${least('work')} ms, ` +
			`with its frame ${least('frame')} ms; ${await machine(page)}`);
		for (const zoom of zooms)
			assert.ok(zoom.elements <= 8000, `${zoom.elements} elements`);
		await page.close();
	},
};

await run(tests);
