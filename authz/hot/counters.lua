--[[
Counters: fields of an account's hash, and how windows look at them. Said in Python in
rules/counters.py, which also says how counters are named.

  u:<field>   use; or the buckets of a window, {floor, size, keep, cleared, bucket, item, use,
              bucket, …}, by bucket. A bucket ends, so that nobody looks at it any more, `keep`
              seconds after its last second. What rose before `floor` stands in it; those before
              `cleared` have ended and are gone. Of different ones this is MessagePack. Of sums it
              is fixed in width, with a running total: a window is read and risen in without
              its buckets being taken apart (`authz bench velocity`). After a byte of 128: floor,
              size, keep, cleared, since, total of the buckets from `since` on, the place of the
              first of these; then 12 bytes a bucket.
  w, w:<day>  when fields end: sweep.lua

Time is that of requests, by their DE 7: none that is still answered asks for what has ended by the
time of another.

A *book* is what an act has read of them, and what it changes; nothing is written before the end.
Those of a whole program are not the account's: quotas.lua.
]]
local ENTRIES_MAX = 192 -- of one field: rules/counters.py says why
local DAY_S = 86400
local FLOOR, SIZE, KEEP, CLEARED, FIRST = 1, 2, 3, 4, 5
local SUMS, HEAD, BUCKET, WIDTH = '>BI5I4I5I5I5I7I2', 34, '>I5I7', 12
local BY_AMOUNT, DECLINES = 1, 2 -- how a counter follows
local UNDATED, DATED = 1, 2 -- how a counter that is a field of its own changed: whether it has an end

-- `sent_at` is of a request that is judged, which moves time on; of other acts it is 0.
local function open_book(account, sent_at, control)
  return {hash = account, at = 'u:', days_at = 'w', control = control, now_s = sent_at, fields = {},
    changed = {}, created = {}, clock = false, line = false, days = false, first_day = false,
    days_changed = false, quotas = false}
end

-- The clock, and the first of the days by which fields end. Most acts need no more of them.
local function learn_days(book, raw)
  book.line, book.clock = raw or '', 0
  if not raw then return end
  local space = find(raw, ' ', 1, true)
  book.clock = (space and sub(raw, 1, space - 1) or raw) + 0
  if space then
    local second = find(raw, ' ', space + 1, true)
    book.first_day = sub(raw, space + 1, (second or 0) - 1) + 0
  end
  local day = book.now_s - book.now_s % DAY_S
  if day > book.clock then book.clock, book.days_changed = day, true end
end

-- All of those days.
local function days_of(book)
  if not book.days then
    local days = {}
    for number in string.gmatch(book.line, '%d+') do days[#days + 1] = number + 0 end
    table.remove(days, 1) -- the clock
    book.days = days
  end
  return book.days
end

local function clock_of(book)
  if not book.clock then learn_days(book, call('HGET', book.hash, book.days_at)) end
  return book.clock
end

-- A counter's field, and of one in buckets which it is.
local function parts_of(counter)
  local field, bucket, item = string.match(counter, '^([^|]+)|(%d+)(.*)$')
  if not field then return counter, nil, '' end
  return field, bucket + 0, item
end

local function name_of(field, bucket, item) return field .. '|' .. text(bucket) .. item end

-- A field as it was read: a number, the buckets of a window, or false. Those of sums stay in `raw`
-- until something else is done with them than what is done with most.
local function learn(book, field, raw)
  local value = false
  local first = raw and byte(raw)
  if first == 128 then
    local _, floor, size, keep, cleared, since, total, from = struct.unpack(SUMS, raw)
    value = {floor, size, keep, cleared, raw = raw, sums = true, since = since, total = total,
      from = from, count = (#raw - HEAD) / WIDTH}
  elseif raw then
    value = first > 128 and unpacked(raw) or whole(raw)
  end
  book.fields[field] = value
  return value
end

local function bucket_at(held, place)
  return struct.unpack(BUCKET, held.raw, HEAD + 1 + (place - 1) * WIDTH)
end

-- Takes sums apart, for the functions that look at every bucket.
local function expand(held)
  if not held.raw then return end
  for place = 1, held.count do
    local n = #held
    held[n + 1], held[n + 3] = bucket_at(held, place)
    held[n + 2] = ''
  end
  held.raw = nil
end

-- A window as it is written.
local function packed(held)
  if not held.sums then return pack(held) end
  local parts = {}
  if held.raw then
    parts[1] = sub(held.raw, HEAD + 1)
  else
    held.total, held.from = 0, 1
    for i = FIRST, #held, 3 do
      parts[#parts + 1] = struct.pack(BUCKET, held[i], held[i + 2])
      if held[i] >= held.since then
        held.total = held.total + held[i + 2]
      else
        held.from = held.from + 1
      end
    end
  end
  return struct.pack(SUMS, 128, held[FLOOR], held[SIZE], held[KEEP], held[CLEARED], held.since,
    held.total, held.from) .. table.concat(parts)
end

local function field_of(book, field)
  local value = book.fields[field]
  if value ~= nil then return value end
  return (book.learn or learn)(book, field, call('HGET', book.hash, book.at .. field))
end

local function standing_at(book, field, bucket)
  local value = field_of(book, field)
  if value and (type(value) == 'table') ~= (bucket ~= nil) then
    error('bad_args: a counter of another kind')
  end
  return value
end

-- A limit's counter, taken apart once where it stands in buckets: most are a field of their own.
local function prepare(limit)
  local use, ceiling = limit[3], limit[4]
  if use > EXACT_MAX or ceiling > EXACT_MAX or ceiling % 1 ~= 0
    or (use + limit[5] + limit[6] + limit[7] + limit[8]) % 1 ~= 0 then
    error('bad_args: not a whole number that is exact')
  end
  if find(limit[2], '|', 1, true) then
    limit.field, limit.bucket, limit.item = parts_of(limit[2])
  end
end

-- What a limit's window in buckets has in it, and whether what is asked for is among it already.
local function seen_of(book, limit)
  local held = standing_at(book, limit.field, limit.bucket)
  if not held then return 0, false end
  local since, seen = limit[7], 0
  if held.raw and since >= held.since then
    while held.from <= held.count do
      local bucket, use = bucket_at(held, held.from)
      if bucket >= since then break end
      held.total, held.from = held.total - use, held.from + 1
    end
    held.since = since
    return held.total, false
  end
  if limit.item == '' then
    expand(held)
    for i = #held - 2, FIRST, -3 do
      if held[i] < since then break end
      seen = seen + held[i + 2]
    end
    return seen, false
  end
  local items = {}
  for i = #held - 2, FIRST, -3 do
    if held[i] < since then break end
    local item = held[i + 1]
    if not items[item] then items[item], seen = true, seen + 1 end
  end
  return seen, items[limit.item] or false
end

-- How much of these shares stands in a limit's window.
local function had_of(book, shares, limit)
  if not limit.bucket then return shares[limit[2]] or 0 end
  local held, had = standing_at(book, limit.field, limit.bucket), 0
  for counter, share in pairs(shares) do
    local field, bucket, item = parts_of(counter)
    if field == limit.field and item == limit.item then
      if held and bucket < held[FLOOR] then bucket = held[FLOOR] end
      if bucket >= limit[7] then had = had + share end
    end
  end
  return had
end

-- What a record adds to a counter while that much is spent under it: held or posted.
local function share(spent, scale)
  if scale == BY_AMOUNT then return spent end
  return spent > 0 and 1 or 0
end

-- What is new in a limit's window where that much is spent, some of it before.
local function use_of(book, limit, known, spent, shares)
  if limit[5] == DECLINES then return 1 end
  if known then return 0 end
  return share(spent, limit[5]) - had_of(book, shares, limit)
end

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
