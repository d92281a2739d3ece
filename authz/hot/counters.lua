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
