-- SPDX-License-Identifier: Apache-2.0
-- Tables, closures, strings and floats.
local function sieve(n)
  local t, c = {}, 0
  for i = 2, n do t[i] = true end
  for i = 2, n do
    if t[i] then
      c = c + 1
      for j = i * i, n, i do t[j] = false end
    end
  end
  return c
end
local words, count = {}, {}
for w in ("the quick brown fox jumps over the lazy dog "):rep(300):gmatch("%a+") do words[#words + 1] = w end
for i, w in ipairs(words) do
  local k = w .. (i % 17)
  count[k] = (count[k] or 0) + #w
end
local keys = {}
for k in pairs(count) do keys[#keys + 1] = k end
table.sort(keys)
local out = {}
for _, k in ipairs(keys) do out[#out + 1] = k .. "=" .. count[k] end
local x = 0.5
for i = 1, 200000 do x = 3.7 * x * (1 - x) end
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(sieve(60000), #table.concat(out, ","), string.format("%.9f", x), fib(22))
