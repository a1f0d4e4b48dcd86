// SPDX-License-Identifier: MIT
//
// Selecting ranges of time in heatmap.svg, subsecond.svg and timeline.svg, with the mouse and the keyboard.
import assert from 'node:assert/strict';
import { eventually, open, run, shoot, writePictures } from './lib/harness.mjs';

const PICTURES = ['heatmap.svg', 'subsecond.svg', 'timeline.svg'];
writePictures('test_render_grid');

const text = (page, selector) => page.locator(selector).first().textContent();

/* The ends of a range, in ns since the epoch. */
function ends(path) {
	return path.replace(/^\.\.\//, '').split(' ')[0].split('--').map((t) => {
		const [, date, h, m, s, fraction] = /^(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)(\d\d)(\.\d+)?$/.exec(t);
		return BigInt(Date.parse(`${date}T${h}:${m}:${s}Z`)) * 1000000n + BigInt((fraction || '.0').slice(1).padEnd(9, '0'));
	});
}

async function area(page) {
	return page.evaluate(() => {
		const g = document.querySelector('.grid').dataset, k = document.documentElement.getScreenCTM().a;
		return { left: g.left * k, column: g.column * k, y: (Number(g.top) + Number(g.bottom)) / 2 * k, step: g.step,
			from: g.from, counts: g.counts.split(' ').map(Number) };
	});
}

const tests = {};

for (const picture of PICTURES) {
	tests[picture + ': a range is dragged, and its path told'] = async () => {
		const page = await open(picture);
		assert.match(await text(page, '.details'), /^drag, or arrow keys/);
		const a = await area(page), x = (column) => a.left + (column + 0.5) * a.column;
		await page.mouse.move(x(3), a.y);
		await page.mouse.down();
		await page.mouse.move(x(5), a.y);
		await page.mouse.move(x(7), a.y);
		await page.mouse.up();
		const told = await text(page, '.details'), [from, to] = ends(told);
		const sum = a.counts.slice(3, 8).reduce((s, n) => s + n, 0);
		assert.ok(told.includes(` \u00b7 ${sum.toLocaleString('en')} `), told);
		const close = (t, column) => t - BigInt(a.from) - BigInt(column) * BigInt(a.step);
		assert.ok([0n, 1n].includes(close(from, 3)) && [0n, 1n].includes(close(to, 8)), told);
		const href = await page.locator('.open').getAttribute('href');
		assert.equal(href, told.split(' ')[0] + '/flamegraph.svg');
		assert.ok(page.url().includes('#t='));
		await page.reload();
		assert.equal(await text(page, '.details'), told);
		await page.keyboard.press('Escape');
		assert.match(await text(page, '.details'), /^drag, or arrow keys/);
		await page.close();
	};

	tests[picture + ': keys select and extend'] = async () => {
		const page = await open(picture), a = await area(page);
		const length = async () => {
			const [from, to] = ends(await text(page, '.details'));
			return Number((to - from + BigInt(a.step) / 2n) / BigInt(a.step));
		};
		await page.keyboard.press('ArrowRight');
		assert.equal(await length(), 1);
		await page.keyboard.press('Shift+ArrowRight');
		await page.keyboard.press('Shift+ArrowRight');
		assert.equal(await length(), 3);
		await page.keyboard.press('ArrowRight');
		assert.equal(await length(), 1);
		await page.keyboard.press('Home');
		await page.keyboard.press('Shift+End');
		assert.equal(await length(), a.counts.length);
		await page.keyboard.press('c');
		await eventually(async () => assert.match(await text(page, '.details'), /copied: |does not let it/));
		await page.close();
	};

	tests[picture + ': a foreign fragment does no harm'] = async () => {
		const page = await open(picture, {}, '#t=%E0--<script>');
		assert.match(await text(page, '.details'), /^drag, or arrow keys/);
		await page.close();
	};

	tests[picture + ': complete without script, in light and dark, within bounds'] = async () => {
		for (const colorScheme of ['light', 'dark']) {
			const page = await open(picture, { colorScheme, javaScriptEnabled: false });
			assert.ok(await page.locator('*').count() <= 20000);
			assert.ok(await page.locator('.gap').count() >= 1);
			const ground = await page.locator('.bg').first().evaluate((e) => getComputedStyle(e).fill);
			assert.equal(ground, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 24, 28)');
			await shoot(page, `${picture}-${colorScheme}`);
			await page.close();
		}
	};
}

tests['heatmap.svg: a cell is a link to its profiles, which are named'] = async () => {
	const page = await open('heatmap.svg', { javaScriptEnabled: false });
	const cell = page.locator('a').first();
	assert.match(await cell.getAttribute('href'), /^2026-11-22T\d{6}(\.\d+)?--2026-11-22T\d{6}(\.\d+)?\/profiles\/$/);
	assert.match(await cell.locator('title').textContent(), /\n2026-11-22T\d{6}_0{26}/);
	await page.close();
};

await run(tests);
