--[[
Quotas: the ceilings of a whole program, whose accounts are in all shards. Said in Python in quotas.py.

A counter that begins with % is a program's. In the control hash of a shard it has a field of what
the shard was granted of the ceiling, and what of that is used here; in the control hash of one
shard, the *centre*, one of how much was granted in all. An act looks at its own shard alone: it
rises while there is room there, and says `short` where there is too little.

  q:<counter>   "<granted> <used> <ceiling> <end>": granted under that ceiling or a lower one
  qw, qw:<day>  when those end, as of an account's counters: sweep.lua
  l:<counter>   of the centre: "<granted in all> <largest ceiling> <end>"
  lw, lw:<day>  when those end

What was granted in all is never less than what the shards have been granted: it rises before a
shard gets it, and falls after a shard gave it back. What is lost between the two is lost: the
ceiling is met early then, and never exceeded. Completions post what they say, whatever was granted.
]]
local GRANTED, USED, UNDER, ENDS = 1, 2, 3, 4

local function is_shared(counter) return byte(counter) == 37 end -- %

local function learn_numbers(book, field, raw)
  local value = false
  if raw then
    value = {numbers = true}
    for word in string.gmatch(raw, '%S+') do value[#value + 1] = whole(word) end
    if #value ~= book.width then error('bad_args: a quota of another kind') end
  end
  book.fields[field] = value
  return value
end

local function open_numbers(hash, at, width, now_s)
  return {hash = hash, at = at .. ':', days_at = at .. 'w', width = width, now_s = now_s,
    learn = learn_numbers, fields = {}, changed = {}, created = {}, set = {}, drop = {}}
end

-- The shard's book. A request that is judged by it moves its time on.
local function quotas_of(book, sent_at)
  if not book.quotas then book.quotas = open_numbers(book.control, 'q', 4, sent_at) end
  return book.quotas
end

-- What is used here, and what of it and beyond was granted under no higher ceiling than this.
local function quota_seen(book, counter, ceiling)
  local quotas = quotas_of(book, book.now_s)
  local clock, q = clock_of(quotas), field_of(quotas, counter)
  if not q or (q[ENDS] > 0 and q[ENDS] <= clock) then return 0, 0 end
  return q[USED], q[UNDER] <= ceiling and q[GRANTED] or math.min(q[GRANTED], q[USED])
end

local function move_quota(book, moves, counter, change, ends)
  local quotas = quotas_of(book, 0)
  if ends > 0 and ends <= clock_of(quotas) then return end
  local q = field_of(quotas, counter)
  if not q then
    if change <= 0 then
      moves[#moves + 1] = {counter, 0, 0}
      return
    end
    q = {0, 0, 0, ends, numbers = true}
    quotas.fields[counter] = q
    if ends > 0 then quotas.created[#quotas.created + 1] = {counter, ends} end
  end
  local before = q[USED]
  q[USED] = whole(math.max(before + change, 0))
  if change ~= 0 then quotas.changed[counter] = true end
  moves[#moves + 1] = {counter, before, q[USED]}
end

-- What changed of such a book, in its own two lists.
local function plan_numbers(book)
  for field in pairs(book.changed) do
    local words = {}
    for i = 1, book.width do words[i] = text(book.fields[field][i]) end
    book.set[#book.set + 1], book.set[#book.set + 2] = book.at .. field, table.concat(words, ' ')
  end
  plan_days(book, book.set, book.drop)
end

-- Adds the counters that moved to the fields to be set, or to those to be dropped. One that has an
-- end stays until then, also at nothing: so it is listed once.
local function plan_counters(book, set, drop)
  for field, how in pairs(book.changed) do
    local value = book.fields[field]
    if value == 0 and how ~= DATED then
      drop[#drop + 1] = 'u:' .. field
    else
      local n = #set
      set[n + 1], set[n + 2] = 'u:' .. field, how == true and packed(value) or value
    end
  end
  plan_days(book, set, drop)
  if book.quotas then plan_numbers(book.quotas) end
end

local function sweep_and_plan(book, moves, set, drop)
  sweep(book, moves, set, drop)
  local quotas = book.quotas
  if quotas and quotas.now_s > 0 then sweep(quotas, moves, quotas.set, quotas.drop) end
  plan_counters(book, set, drop)
end

-- "Ask for more first": of each limit its place, how much is missing, and how much would do.
local function say_short(message_id, short)
  local reply = {message_id, 'short'}
  for i = 1, #short do
    for j = 1, 3 do reply[#reply + 1] = short[i][j] end
  end
  return reply
end
