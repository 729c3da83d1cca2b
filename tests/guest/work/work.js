// SPDX-License-Identifier: Apache-2.0
// Work for V8's compilers: each line must be what the same program prints on the host. Types change
// under hot functions, so that code is thrown away and made again; WebAssembly and RegExp too.
'use strict';
const crypto = require('crypto');
const say = (name, value) => console.log(`node ${name}: ${value}`);
let seed = 12345;
const rnd = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8;

function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
say('fib', fib(27));

// Monomorphic, then polymorphic, then megamorphic.
class P2 { constructor(x, y) { this.x = x; this.y = y; } norm() { return this.x * this.x + this.y * this.y; } }
class P3 extends P2 { constructor(x, y, z) { super(x, y); this.z = z; } norm() { return super.norm() + this.z * this.z; } }
function total(ps) { let s = 0; for (const p of ps) s += p.norm(); return s; }
const points = [];
for (let i = 0; i < 3000; i++) points.push(new P2(i, i / 3));
let sum = 0;
for (let i = 0; i < 60; i++) sum += total(points);
for (let i = 0; i < 500; i++) points.push(new P3(i, 1, 2));
for (let i = 0; i < 30; i++) sum += total(points);
for (let i = 0; i < 50; i++) points.push({ norm: () => 0.5 }, { ['k' + i]: 1, norm() { return i; } });
for (let i = 0; i < 30; i++) sum += total(points);
say('shapes', sum);

// Small integers that turn into doubles, strings, BigInts.
function add(a, b) { return a + b; }
let acc = 0;
for (let i = 0; i < 200000; i++) acc = add(acc, i & 7);
for (let i = 0; i < 100000; i++) acc = add(acc, i * 0.25);
let text = '';
for (let i = 0; i < 20000; i++) text = add(text, String.fromCharCode(97 + i % 26));
let big = 1n;
for (let i = 1n; i < 600n; i++) big = add(big * i, 1n);
say('add', `${acc} ${text.length} ${crypto.createHash('sha256').update(big.toString()).digest('hex')}`);

// Code made at run time and thrown away.
let made = 0;
for (let i = 0; i < 1500; i++) {
	const f = new Function('a', 'b', `let s = ${i}; for (let k = 0; k < 40; k++) s = (s * ${i % 13 + 3} + a - b * k) | 0; return s;`);
	for (let k = 0; k < 20; k++) made = (made + f(k, i)) | 0;
}
say('functions', made);

const N = 96, a = new Float64Array(N * N).map(() => rnd() / 1e6), b = new Float64Array(N * N).map(() => rnd() / 1e6);
const c = new Float64Array(N * N);
for (let i = 0; i < N; i++)
	for (let j = 0; j < N; j++) {
		let s = 0;
		for (let k = 0; k < N; k++) s += a[i * N + k] * b[k * N + j];
		c[i * N + j] = s;
	}
say('matrix', crypto.createHash('sha256').update(new Uint8Array(c.buffer)).digest('hex'));
let fl = 0;
for (let i = 1; i < 60000; i++) fl += Math.sin(i) * Math.sqrt(i) + Math.atan2(i, 3) - Math.exp(-i / 1000) + i ** 0.3;
say('math', fl);

const words = [];
for (let i = 0; i < 20000; i++) words.push((rnd() % 65536).toString(36) + '-' + rnd() % 10);
const re = /^([a-f0-9]*)([g-z]+)?(.*?)-(\d)$/;
let matched = 0;
for (const w of words) { const m = re.exec(w); if (m && m[2]) matched += m[2].length * Number(m[4]); }
say('regexp', `${matched} ${words.join(' ').replace(/(\w)(\w+)-/g, '$2$1_').length}`);
words.sort();
const map = new Map();
for (const w of words) map.set(w, (map.get(w) || 0) + 1);
say('sort', crypto.createHash('sha1').update(JSON.stringify([...map].slice(0, 5000))).digest('hex'));

// (func (param i32) (result i32)): sum of squares by a loop.
const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 115, 0, 0,
	10, 30, 1, 28, 1, 1, 127, 3, 64, 32, 1, 32, 0, 32, 0, 108, 106, 33, 1, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 11]);
let w = 0;
for (let i = 0; i < 40; i++) {
	const s = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports.s;
	w = (w + s(50000 + i)) | 0;
}
say('wasm', w);

function* gen(n) { for (let i = 0; i < n; i++) yield i % 7; }
(async () => {
	let s = 0;
	for (const v of gen(100000)) s += v;
	for (let i = 0; i < 20000; i++) s += await i % 3;
	let caught = 0;
	for (let i = 0; i < 20000; i++) try { if (i % 3 === 0) throw new Error(String(i)); } catch (e) { caught += e.message.length; }
	say('async', `${s} ${caught}`);
})();
