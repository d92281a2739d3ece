--[[
Limits, as requests are judged by them: what each has in its window, which is full, which rise with a
decline. Shared by authorizations and increments.
]]
-- What each limit's window has in it. Where that is not one number, the journal is told so:
-- {which limit, what was seen, what is new of what is asked}. Of a program's, which has its ceiling
-- here by what the shard was granted: {which limit, what is used here, what may be used here}.
local function looked_at(book, limits)
  local seen, windows, quotas = {nil, nil, nil, nil, nil, nil, nil, nil}, {}, {} -- room for eight
  for i = 1, #limits do
    local limit = limits[i]
    local counter = limit[2]
    if is_shared(counter) then
      limit.shared = true
      seen[i], limit[4] = quota_seen(book, counter, limit[4])
      quotas[#quotas + 1] = {i - 1, seen[i], limit[4]}
    elseif limit.bucket then
      seen[i], limit.known = seen_of(book, limit)
    else
      local held = book.fields[counter]
      if held == nil then held = field_of(book, counter) end
      seen[i] = held or 0
    end
    if limit.bucket then
      windows[#windows + 1] = {i - 1, seen[i], limit.known and 0 or limit[3]}
    end
  end
  return seen, windows, quotas
end

-- The first ceiling that so much more does not fit under: its reason, or nil. Of a program's also
-- what their quotas lack.
local function first_full(book, limits, seen, spent, shares, shared)
  local reason, short = nil, {}
  for i = 1, #limits do
    local limit = limits[i]
    if (limit.shared or false) == (shared or false) then
      local use = use_of(book, limit, limit.known, spent, shares)
      local over = seen[i] + use - limit[4]
      if use > 0 and over > 0 then
        if not shared then return limit[1] end
        reason, short[#short + 1] = reason or limit[1], {i - 1, over, over}
      end
    end
  end
  return reason, short
end

-- A decline rises in the counters of declines, but for one by their own ceiling: or a window would
-- never pass. Returns those that rose, as a record names them.
local DECLINED = {declined = true, over_limit = true, no_funds = true}
local REFERRED = 'referred' -- a ceiling's word, where an exception is used up

local function count_decline(book, limits, kind, detail, moves)
  local tried = {}
  if not DECLINED[kind] or (kind == 'over_limit' and detail == REFERRED) then return tried end
  for i = 1, #limits do
    if limits[i][5] == DECLINES and kind == 'over_limit' and limits[i][1] == detail then return tried end
  end
  for i = 1, #limits do
    local limit = limits[i]
    if limit[5] == DECLINES then
      move_limit(book, moves, limit, 1)
      tried[#tried + 1] = {limit[2], DECLINES, limit[6], limit[8]}
    end
  end
  return tried
end
