/* SPDX-License-Identifier: MIT */
/* Trees made from the tree of the table: without recursion, callers and callees of a function; and sums by function. */

/* A growing tree by name; its root is node 0. */
function newTrie(name) {
	return { name: [name], parent: [-1], own: [0], ownBefore: [0], at: new Map() };
}

function childOf(trie, parent, name) {
	const key = parent * names.length + name;
	let child = trie.at.get(key);
	if (child === undefined) {
		child = trie.name.length;
		trie.at.set(key, child);
		trie.name.push(name);
		trie.parent.push(parent);
		trie.own.push(0);
		trie.ownBefore.push(0);
	}
	return child;
}

let rank = null; /* of each name, in their order; what is left out comes last */

function rankNames() {
	const order = names.map((name, i) => i).sort((a, b) => (a === REST) - (b === REST) ||
		(names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
	rank = new Int32Array(names.length);
	order.forEach((name, i) => { rank[name] = i; });
}

function childrenOf(trie) {
	const children = trie.name.map(() => null);
	for (let i = 1; i < trie.name.length; i++)
		(children[trie.parent[i]] = children[trie.parent[i]] || []).push(i);
	for (const list of children)
		if (list && list.length > 1)
			list.sort((a, b) => rank[trie.name[b]] - rank[trie.name[a]]);
	return children;
}

/* The same in preorder, children by name. */
function treeOf(trie) {
	if (!rank)
		rankNames();
	const children = childrenOf(trie), tree = newTree(trie.name.length), place = new Int32Array(trie.name.length);
	const stack = [0];
	for (let n = 0; stack.length; n++) {
		const i = stack.pop();
		place[i] = n;
		tree.name[n] = trie.name[i];
		tree.own[n] = trie.own[i];
		tree.ownBefore[n] = trie.ownBefore[i];
		tree.parent[n] = i ? place[trie.parent[i]] : -1;
		tree.depth[n] = i ? tree.depth[tree.parent[n]] + 1 : 0;
		for (const child of children[i] || [])
			stack.push(child);
	}
	for (let i = tree.count - 1; i >= 0; i--) {
		tree.end[i] = Math.max(tree.end[i], i + 1);
		if (i)
			tree.end[tree.parent[i]] = Math.max(tree.end[tree.parent[i]], tree.end[i]);
	}
	return sumTree(tree);
}

function addOwn(trie, at, tree, i) {
	trie.own[at] += tree.own[i];
	trie.ownBefore[at] += tree.ownBefore[i];
}

/* A function that calls itself directly is one frame. */
function withoutRecursion(tree) {
	const trie = newTrie(ALL), at = new Int32Array(tree.count);
	addOwn(trie, 0, tree, 0);
	for (let i = 1; i < tree.count; i++) {
		const up = at[tree.parent[i]];
		at[i] = up && trie.name[up] === tree.name[i] ? up : childOf(trie, up, tree.name[i]);
		addOwn(trie, at[i], tree, i);
	}
	return treeOf(trie);
}

/* What a function calls, from all its stacks; a call of itself within is a frame. */
function calleesOf(tree, name) {
	const trie = newTrie(name), at = new Int32Array(tree.count).fill(-1);
	for (let i = 1; i < tree.count; i++) {
		const up = at[tree.parent[i]];
		if (up < 0 && tree.name[i] !== name)
			continue;
		at[i] = up < 0 ? 0 : childOf(trie, up, tree.name[i]);
		addOwn(trie, at[i], tree, i);
	}
	return treeOf(trie);
}

/* What calls it, the nearest first. */
function callersOf(tree, name) {
	const trie = newTrie(name);
	for (let i = 1; i < tree.count;) {
		if (tree.name[i] !== name) {
			i++;
			continue;
		}
		let at = 0;
		for (let up = tree.parent[i]; up > 0; up = tree.parent[up])
			at = childOf(trie, at, tree.name[up]);
		trie.own[at] += tree.width[i] - tree.before[i];
		trie.ownBefore[at] += tree.before[i];
		i = tree.end[i];
	}
	return treeOf(trie);
}

/* Self and total of each function, of both sides together and of the baseline; recursion counts once. */
function functionsOf(tree) {
	const list = names.map((name, i) => ({ name: i, self: 0, selfBefore: 0, total: 0, totalBefore: 0 }));
	const open = new Int32Array(names.length), path = [];
	for (let i = 1; i < tree.count; i++) {
		while (path.length && tree.end[path[path.length - 1]] <= i)
			open[tree.name[path.pop()]]--;
		const f = list[tree.name[i]];
		f.self += tree.own[i];
		f.selfBefore += tree.ownBefore[i];
		if (open[f.name]++ === 0) {
			f.total += tree.width[i] - tree.before[i];
			f.totalBefore += tree.before[i];
		}
		path.push(i);
	}
	return list.filter((f) => f.name !== ALL && f.name !== REST);
}
