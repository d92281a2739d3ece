--[[
How counters move: fields of their own, and buckets of windows. What they are: counters.lua.
]]
-- Where an entry is, or would be: most are of the newest bucket.
local function place_of(held, bucket, item)
  for i = #held - 2, FIRST, -3 do
    if held[i] == bucket and held[i + 1] == item then return i, true end
    if held[i] < bucket then return i + 3, false end
  end
  return FIRST, false
end

local function put(held, bucket, item, use)
  local at, there = place_of(held, bucket, item)
  if use == 0 then
    if there then for _ = 1, 3 do table.remove(held, at) end end
  elseif there then
    held[at + 2] = use
  elseif at > #held then
    held[at], held[at + 1], held[at + 2] = bucket, item, use
  else
    table.insert(held, at, use)
    table.insert(held, at, item)
    table.insert(held, at, bucket)
  end
end

-- Whether a bucket has ended by that moment.
local function ended(held, bucket, by)
  local at = (bucket + 1) * held[SIZE] + held[KEEP]
  return at > 0 and at <= by
end

local trim
do -- what nothing else needs a name for
-- So many entries from the front are gone, and these are there instead: in one pass, since a list
-- that loses its first element moves all others.
local function replace_front(held, count, front)
  local size, shift = #held, #front - 3 * count
  if shift < 0 then
    for i = FIRST + 3 * count, size do held[i + shift] = held[i] end
    for i = size, size + shift + 1, -1 do held[i] = nil end
  end
  for i = 1, #front do held[FIRST - 1 + i] = front[i] end
end

-- Of one bucket after the other, from the oldest on, what stands in it: until so few entries would
-- be left as there may be. Returns how many entries that is, the last bucket, what stands in all
-- of them by item, and the items in their order.
local function joined(held)
  local left, at, uses, items = (#held - FIRST + 1) / 3, FIRST, {}, {}
  local bucket, buckets = nil, 0
  while at <= #held and (left > ENTRIES_MAX or buckets < 2) do
    bucket, buckets = held[at], buckets + 1
    while held[at] == bucket do
      local item, use = held[at + 1], held[at + 2]
      if uses[item] then left = left - 1 else items[#items + 1] = item end
      uses[item], at = (uses[item] or 0) + use, at + 3
    end
  end
  return (at - FIRST) / 3, bucket, uses, items
end

-- What ended is dropped; and beyond the bound the oldest bucket joins the one after it, and both
-- the next one, until they are few enough. Each counter is told of once.
function trim(book, moves, field, held)
  expand(held)
  local gone = 0
  while FIRST + 3 * gone < #held and ended(held, held[FIRST + 3 * gone], book.now_s) do
    local at = FIRST + 3 * gone
    held[CLEARED] = held[at] + 1
    moves[#moves + 1] = {name_of(field, held[at], held[at + 1]), held[at + 2], 0}
    gone = gone + 1
  end
  if gone > 0 then replace_front(held, gone, {}) end
  if #held < FIRST + 3 * ENTRIES_MAX then return end
  local count, into, uses, items = joined(held)
  if held[FIRST] == into then return end -- all are of one bucket
  local before, front = {}, {}
  for at = FIRST, FIRST + 3 * (count - 1), 3 do
    local bucket, item, use = held[at], held[at + 1], held[at + 2]
    if bucket == into then
      before[item] = use
    else
      moves[#moves + 1] = {name_of(field, bucket, item), use, 0}
    end
  end
  for i = 1, #items do
    local item = items[i]
    local was, use = before[item] or 0, uses[item]
    if use ~= was then moves[#moves + 1] = {name_of(field, into, item), was, use} end
    front[#front + 1], front[#front + 2], front[#front + 3] = into, item, use
  end
  replace_front(held, count, front)
  held[FLOOR] = into
end
end

-- What happens to most sums: the newest bucket rises, or one that is newer, and the oldest end.
-- Returns what the bucket had, or nil where more is to be done.
local function rise_at_end(held, bucket, change)
  local last, use = 0, 0
  if held.count > 0 then last, use = bucket_at(held, held.count) end
  if bucket < last or held.count >= ENTRIES_MAX or bucket < held.since then return nil end
  if bucket == last then
    held.raw = sub(held.raw, 1, -WIDTH - 1) .. struct.pack(BUCKET, bucket, use + change)
  else
    held.raw, held.count, use = held.raw .. struct.pack(BUCKET, bucket, change), held.count + 1, 0
  end
  held.total = held.total + change
  return use
end

local function drop_ended(book, moves, field, held)
  while held.count > 0 do
    local bucket, use = bucket_at(held, 1)
    if not ended(held, bucket, book.now_s) then return end
    held[CLEARED] = bucket + 1
    moves[#moves + 1] = {name_of(field, bucket, ''), use, 0}
    held.raw = sub(held.raw, 1, HEAD) .. sub(held.raw, HEAD + WIDTH + 1)
    held.count = held.count - 1
    if held.from > 1 then held.from = held.from - 1 else held.total = held.total - use end
  end
end

-- One counter rises, or falls, and `moves` tells of it. One whose end has come does not move any more.
-- Of one that is a field of its own:
local function move_plain(book, moves, counter, change, ends)
  if ends > 0 and ends <= (book.clock or clock_of(book)) then return end
  local held = book.fields[counter]
  if held == nil then held = field_of(book, counter) end
  local before = held or 0 -- of a window, which is a list, what follows fails
  if change == 0 or (not held and change < 0) then
    moves[#moves + 1] = {counter, before, before}
    return
  end
  local after = before + change
  if after < 0 then after = 0 end
  if after > EXACT_MAX then error('bad_args: a counter would not be exact') end
  if not held and ends > 0 then book.created[#book.created + 1] = {counter, ends} end
  book.fields[counter] = after
  book.changed[counter] = ends > 0 and DATED or book.changed[counter] or UNDATED
  moves[#moves + 1] = {counter, before, after}
end

-- And of one in buckets.
local function move_part(book, moves, counter, field, bucket, item, change, ends, size)
  if ends > 0 and ends <= clock_of(book) then return end
  local held = standing_at(book, field, bucket)
  if not held and change <= 0 then
    moves[#moves + 1] = {counter, 0, 0}
    return
  end
  if not held and ends > 0 then book.created[#book.created + 1] = {field, ends} end
  if change ~= 0 then book.changed[field] = true end
  if not held then
    held = {0, size, ends - (bucket + 1) * size, 0}
    if item == '' then
      held.raw, held.sums, held.since, held.total = string.rep(' ', HEAD), true, 0, 0
      held.from, held.count = 1, 0
    end
    book.fields[field] = held
  elseif bucket < held[CLEARED] then
    return
  elseif bucket < held[FLOOR] then
    bucket = held[FLOOR]
    counter = name_of(field, bucket, item)
  end
  local had = held.raw and change > 0 and rise_at_end(held, bucket, change)
  if had then
    moves[#moves + 1] = {counter, had, whole(had + change)}
    drop_ended(book, moves, field, held)
    return
  end
  expand(held)
  local at, there = place_of(held, bucket, item)
  local before = there and held[at + 2] or 0
  local after = whole(math.max(before + change, 0))
  if there and after > 0 then
    held[at + 2] = after
  else
    put(held, bucket, item, after)
  end
  moves[#moves + 1] = {counter, before, after}
  if change > 0 then trim(book, moves, field, held) end
end

local function move(book, moves, counter, change, ends, size)
  if not find(counter, '|', 1, true) then
    move_plain(book, moves, counter, change, ends)
  else
    local field, bucket, item = parts_of(counter)
    move_part(book, moves, counter, field, bucket, item, change, ends, size)
  end
end

-- The same of a limit's counter.
local function move_limit(book, moves, limit, change)
  if limit.bucket then
    move_part(book, moves, limit[2], limit.field, limit.bucket, limit.item, change, limit[6],
      limit[8])
  else
    move_plain(book, moves, limit[2], change, limit[6])
  end
end
