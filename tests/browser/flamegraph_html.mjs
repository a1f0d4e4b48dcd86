// SPDX-License-Identifier: MIT
//
// What a user does with flamegraph.html in a browser.
import assert from 'node:assert/strict';
import { eventually, machine, open, resultsOf, run, shoot, writePictures } from './lib/harness.mjs';

const PICTURE = 'small-flamegraph.html';
writePictures('test_render_flamegraph');

const text = (page, selector) => page.locator(selector).textContent();
const cells = (page) => page.locator('.row').evaluateAll((all) => all.map((row) =>
	Array.from(row.children, (cell) => cell.textContent)));
const press = (page, name) => page.locator('.tools button', { hasText: name }).first().click();

/* The colours of the canvas at so many pixels from its left and bottom. */
async function pixel(page, x, fromBottom) {
	return page.locator('canvas').evaluate((canvas, at) => Array.from(canvas.getContext('2d')
		.getImageData(at[0], canvas.height - at[1], 1, 1).data).slice(0, 3).join(), [x, fromBottom]);
}

async function clickGraph(page, share, row) {
	const area = await page.locator('canvas').boundingBox();
	await page.mouse.click(area.x + area.width * share, area.y + area.height - 4 - row * 18 - 9);
}

const tests = {
	async 'without script it has a table'() {
		const page = await open(PICTURE, { javaScriptEnabled: false });
		assert.equal(await page.locator('table.static tbody tr').count(), 50);
		assert.match(await page.locator('table.static tbody tr').first().textContent(), /^main\.main0\s*0%4\.13s\s*100%$/);
		await page.close();
	},

	async 'the table has self and total, recursion once'() {
		const page = await open(PICTURE);
		const rows = Object.fromEntries((await cells(page)).map((row) => [row[0], row.slice(1)]));
		assert.deepEqual(rows['main.main'], ['0', '0%', '4.13s', '100%']);
		assert.deepEqual(rows['main.fib'], ['2s', '48.43%', '2s', '48.43%']);
		assert.deepEqual(rows['json.scan'], ['500ms', '12.11%', '500ms', '12.11%']);
		await page.close();
	},

	async 'headers sort'() {
		const page = await open(PICTURE);
		await page.locator('.header button', { hasText: 'Self' }).first().click();
		assert.equal((await cells(page))[0][0], 'main.fib');
		await page.locator('.header button', { hasText: 'Function' }).click();
		assert.match((await cells(page))[0][0], /^<img src=x/);
		assert.equal(await page.locator('[data-key=name]').getAttribute('aria-sort'), 'descending');
		await page.locator('.header button', { hasText: 'Function' }).click();
		await page.waitForURL(/#o=name-up$/);
		assert.match((await cells(page))[0][0], /^tail\.f2999/);
		assert.equal(await page.locator('img').count(), 0);
		await page.close();
	},

	async 'a click zooms, Back returns'() {
		const page = await open(PICTURE, {}, '#v=flame');
		await clickGraph(page, 0.7, 2);
		await page.waitForURL(/x=main\.main;main\.parse$/);
		assert.match(await text(page, '.details'), /^main\.parse \(2s, 48\.43%, 100% of the zoomed\)$/);
		await page.goBack();
		await eventually(async () => assert.equal(await text(page, '.details'), '? tells the keys'));
		await page.close();
	},

	async 'a search marks, filters and counts recursion once'() {
		const page = await open(PICTURE);
		await page.keyboard.press('/');
		await page.keyboard.type('^main\\.fib$');
		assert.equal(await text(page, 'output'), 'matched 48.43%');
		assert.equal((await cells(page)).length, 1);
		assert.equal(await pixel(page, 100, 30 + 18), '230,0,230');
		await page.waitForURL(/#s=%5Emain%5C\.fib%24$/);
		await page.keyboard.press('Escape');
		assert.equal(await text(page, 'output'), '');
		await page.keyboard.press('Control+f');
		await page.keyboard.type('(');
		assert.equal(await text(page, 'output'), 'not a regular expression');
		await page.close();
	},

	async 'keys move, zoom, turn and return'() {
		const page = await open(PICTURE);
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		assert.match(await text(page, '.details'), /^main\.(fib|parse) /);
		await page.keyboard.press('Enter');
		await page.waitForURL(/#x=main\.main;main\.(fib|parse)$/);
		await page.keyboard.press('0');
		await page.keyboard.press('i');
		await page.waitForURL(/#i=1$/);
		await page.keyboard.press('ArrowDown');
		await page.keyboard.press('ArrowDown');
		assert.match(await text(page, '.details'), /^main\.main /);
		await page.keyboard.press('t');
		assert.equal(await page.locator('.table').isVisible(), false);
		await page.keyboard.press('t');
		assert.equal(await page.locator('canvas').isVisible(), false);
		await page.close();
	},

	async 'the table and the sandwich are linked'() {
		const page = await open(PICTURE);
		await page.locator('.row', { hasText: 'json.decode' }).click();
		assert.match(await text(page, '.details'), /^json\.decode \(1\.50s/);
		await page.keyboard.press('s');
		await page.waitForURL(/#v=sandwich&f=json\.decode$/);
		assert.equal(await page.locator('.row.selected').first().textContent().then((t) => t.slice(0, 11)), 'json.decode');
		await page.locator('canvas').focus();
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		assert.match(await text(page, '.details'), /^main\.parse \(1\.50s/);
		await page.goBack();
		await eventually(async () => assert.equal(await page.locator('[aria-pressed=true]').first().textContent(), 'Both'));
		await page.locator('.rows').focus();
		await page.keyboard.press('Home');
		await page.keyboard.press('ArrowDown');
		await page.keyboard.press('Enter');
		await page.waitForURL(/#v=sandwich&f=main\.(fib|parse)$/);
		await page.close();
	},

	async 'a sandwich of nothing in particular is of what costs most'() {
		const page = await open(PICTURE, {}, '#v=flame');
		await press(page, 'Sandwich');
		await page.waitForURL(/#v=sandwich&f=main\.main$/);
		await page.close();
	},

	async 'recursion collapses'() {
		const page = await open(PICTURE, {}, '#x=main.main;main.fib;main.fib;main.fib');
		assert.match(await text(page, '.details'), /^main\.fib \(2s, .*, self 2s\)$/);
		await press(page, 'Collapse recursion');
		await page.waitForURL(/#r=1$/);
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		await page.keyboard.press('ArrowUp');
		assert.match(await text(page, '.details'), /^main\.fib \(2s, .*, self 2s\)$/);
		await page.close();
	},

	async 'colours by package or by value, in both themes'() {
		const page = await open(PICTURE);
		const before = await pixel(page, 300, 18 * 2 + 9);
		await press(page, 'By value');
		const after = await pixel(page, 300, 18 * 2 + 9);
		assert.notEqual(before, after);
		await press(page, 'Dark/light');
		assert.notEqual(await pixel(page, 300, 18 * 2 + 9), after);
		assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(22, 24, 28)');
		await page.close();
	},

	async 'a name is copied'() {
		const page = await open(PICTURE, { permissions: ['clipboard-read', 'clipboard-write'] }, '#x=main.main');
		await page.locator('button', { hasText: 'Copy name' }).click();
		await eventually(async () => assert.match(await text(page, '.details'), /^copied: main\.main$|does not let/));
		await page.close();
	},

	async 'a foreign fragment does no harm'() {
		const page = await open(PICTURE, {}, '#x=%E0%A4%A&s=%zz&v=constructor&f=%E0&o=__proto__-up&toString=1');
		assert.equal(await page.locator('[aria-pressed=true]').first().textContent(), 'Both');
		await page.close();
	},

	async 'pointing tells'() {
		const page = await open(PICTURE);
		const area = await page.locator('canvas').boundingBox();
		await page.mouse.move(area.x + 50, area.y + area.height - 4 - 18 - 9);
		assert.match(await text(page, '.tip'), /^main\.main4\.13s, 100%$/);
		await page.close();
	},

	async 'a comparison has changes in words and columns'() {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open('compared-flamegraph.html', { colorScheme });
			await page.locator('.header button', { hasText: 'Change' }).nth(1).click();
			const rows = await cells(page);
			assert.deepEqual(rows[0].slice(0, 1).concat(rows[0].slice(4)), ['new.Escape', '+350ms', 'new']);
			assert.ok(rows.some((row) => row[0] === 'old.Render' && row[5] === 'gone'));
			await shoot(page, `html-compared-${colorScheme}`);
			await page.close();
		}
	},

	async 'follows the colour scheme'() {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open(PICTURE, { colorScheme });
			assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
				colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 24, 28)');
			await shoot(page, `html-${colorScheme}`);
			await page.close();
		}
	},

	/* Times are told and depend on the machine; how much is drawn does not. */
	async 'a hundred thousand frames are quick'() {
		const page = await open('big-flamegraph.html', { countDrawing: true }, '#v=flame');
		const { loaded, parsed } = await page.evaluate(() => {
			const entry = performance.getEntriesByType('navigation')[0];
			return { loaded: performance.now(), parsed: entry.domInteractive - entry.responseEnd };
		});
		const first = await page.evaluate(() => ({ ...drawn }));
		const zooms = await resultsOf(page, 8, async (i) => {
			const canvas = document.querySelector('canvas'), area = canvas.getBoundingClientRect();
			Object.assign(drawn, { rects: 0, grounds: 0 });
			const begin = performance.now();
			canvas.dispatchEvent(new MouseEvent('click', { bubbles: true, clientX: area.left + area.width / 2,
				clientY: area.bottom - 4 - 18 * (i % 2 ? 0 : 1) - 9 }));
			const work = performance.now() - begin;
			await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
			return { work, frame: performance.now() - begin, ...drawn };
		});
		const least = (key) => Math.min(...zooms.map((zoom) => zoom[key])).toFixed(1);
		console.log(`# flamegraph.html, 100,000 frames: loaded ${loaded.toFixed(0)} ms ` +
			`(parsed and run in ${parsed.toFixed(0)}), zoom ${least('work')} ms, with its frame ${least('frame')} ms, ` +
			`of ${zooms[0].rects} boxes; ${await machine(page)}`);
		assert.equal(first.grounds, 1, 'drawn once when it opens');
		for (const zoom of zooms) {
			assert.equal(zoom.grounds, 1, 'drawn once');
			assert.ok(zoom.rects > 1000 && zoom.rects <= 12000, `${zoom.rects} boxes`);
		}
		await page.close();
	},
};

await run(tests);
