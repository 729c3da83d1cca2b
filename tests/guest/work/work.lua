-- SPDX-License-Identifier: Apache-2.0
-- Work for LuaJIT's trace compiler: each line must be what the same program prints on the host.
local function say(name, ...) print("luajit " .. name .. ": " .. table.concat({...}, " ")) end
local bit, ffi = require("bit"), require("ffi")
assert(jit.status())
local seed = 1
local function rnd() seed = (seed * 16807) % 2147483647 return seed end

local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
say("fib", fib(29))

local s = 0
for y = 0, 199 do for x = 0, 199 do
	local cr, ci, zr, zi, n = x / 100 - 1.5, y / 100 - 1, 0, 0, 0
	while n < 60 and zr * zr + zi * zi < 4 do zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1 end
	s = s + n
end end
say("mandelbrot", s)

local t = {}
for i = 1, 60000 do t[i] = rnd() end
table.sort(t)
table.sort(t, function(a, b) return a % 1000 < b % 1000 or (a % 1000 == b % 1000 and a < b) end)
local h = 0
for i = 1, #t do h = bit.bxor(bit.rol(h, 5), bit.tobit(t[i])) end
say("sort", h)

local parts = {}
for i = 1, 20000 do parts[#parts + 1] = string.format("%x:%d:%.3f", rnd() % 65536, i, i / 7) end
local all, n = table.concat(parts, ","), 0
for a, b in all:gmatch("(%x+):(%d+)") do n = n + #a * tonumber(b) end
say("string", n, #all, (all:gsub("%d", function(d) return d == "7" and "x" or nil end)):len())

-- Traces that are aborted, side exits, and types that change under a loop.
local function mix(v) if type(v) == "number" then return v % 3 elseif type(v) == "string" then return #v else return v[1] end end
local q = 0
for i = 1, 300000 do
	local v = i
	if i % 7 == 0 then v = tostring(i) elseif i % 11 == 0 then v = {i % 5} end
	q = q + mix(v)
end
say("types", q)

-- Functions made and dropped: machine code areas are freed and filled again.
local f = 0
for i = 1, 3000 do
	local g = loadstring("local a = ... for k = 1, 60 do a = (a * " .. (i % 17 + 2) .. " + k) % 1000003 end return a")
	f = (f + g(i)) % 1000003
	if i % 500 == 0 then jit.flush() end
end
say("functions", f)

ffi.cdef("typedef struct { double x, y; int32_t n; uint8_t b[4]; } rec;")
local r = ffi.new("rec[?]", 1000)
for k = 1, 200 do for i = 0, 999 do
	r[i].x = r[i].x + i * 0.5; r[i].y = r[i].x * 0.25 - k; r[i].n = bit.band(r[i].n * 31 + i, 0x7fffffff); r[i].b[i % 4] = i + k
end end
local x, y, m, b = 0, 0, 0, 0
for i = 0, 999 do x = x + r[i].x; y = y + r[i].y; m = bit.bxor(m, r[i].n); b = b + r[i].b[i % 4] end
say("ffi", x, string.format("%.6f", y), m, b)
local i64 = 0xcbf29ce484222325ULL
for i = 1, 200000 do i64 = bit.bxor(i64, i % 256) * 0x100000001b3ULL end
say("int64", tostring(i64))
local co = coroutine.wrap(function() for i = 1, 100000 do coroutine.yield(i % 13) end end)
local c = 0
for _ = 1, 100000 do c = c + co() end
say("coroutine", c)
local e = 0
for i = 1, 50000 do local ok, err = pcall(function() if i % 3 == 0 then error({i % 10}) end return i % 2 end) e = e + (ok and err or err[1]) end
say("pcall", e)
