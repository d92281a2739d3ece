--[[
What engines do beside acts where a shard's quota of a program's ceiling is too small: quotas.lua.
]]
local IN_ALL, LARGEST = 1, 2
local SHARE = 128 -- of what is left, granted at once: twice as many as there are shards

--[[
lease: as much of a program's ceiling as is wanted, for a shard, or more, while much is left.

keys   1 control of the centre   2 its journal
args   1 run id   2 list: counter, how much would do, wanted, ceiling, end, sent at, lists version,
       what shards gave back, deadline in ms
reply  counter, leased | stale | over, how much, what is left;  or cold | late | full
       stale: a newer policy is in force; over: the window has ended
]]
local function lease(keys, args)
  local a = cmsgpack.unpack(args[2])
  local counter = a[1]
  local least, wanted, ceiling, ends, sent_at, lists, back = whole(a[2]), whole(a[3]), whole(a[4]),
    whole(a[5]), whole(a[6]), whole(a[7]), whole(a[8])
  if #keys ~= 2 or not is_shared(counter) or least < 1 or wanted < least or ceiling < 0 or ends < 0
    or back < 0 then
    error('bad_args: out of range')
  end
  local gate, shut = enter(keys[1], keys[2], args[1], whole(a[9]))
  if not gate then return {counter, shut} end
  local book = open_numbers(keys[1], 'l', 3, sent_at)
  if ends > 0 and ends <= clock_of(book) then return {counter, 'over', 0, 0} end
  local all = field_of(book, counter)
  if not all then
    all = {0, 0, ends, numbers = true}
    book.fields[counter] = all
    if ends > 0 then book.created[1] = {counter, ends} end
  end
  all[IN_ALL] = math.max(all[IN_ALL] - back, 0)
  local left, stale = math.max(ceiling - all[IN_ALL], 0), lists < gate.lists
  local some = 0
  if not stale and left >= least then
    some = math.min(left, math.max(wanted, math.floor(left / SHARE)))
    all[IN_ALL] = whole(all[IN_ALL] + some)
    all[LARGEST] = math.max(all[LARGEST], ceiling)
  end
  book.changed[counter] = true
  sweep(book, {}, book.set, book.drop)
  plan_numbers(book)

  -- From here on only writes, and none may fail.
  write_numbers(book)
  return {counter, stale and 'stale' or 'leased', some, left - some}
end

--[[
grant: what was leased is the shard's. All that it was granted before is within that ceiling, too:
it is in what the centre counted when it leased this.

keys   1 control   2 journal
args   1 run id   2 list: counter, how much, ceiling, end, sent at, lists version
reply  counter, granted | stale | over;  or cold | full
]]
local function grant(keys, args)
  local a = cmsgpack.unpack(args[2])
  local counter = a[1]
  local some, ceiling, ends, sent_at, lists = whole(a[2]), whole(a[3]), whole(a[4]), whole(a[5]),
    whole(a[6])
  if #keys ~= 2 or not is_shared(counter) or some < 1 or ceiling < 0 or ends < 0 then
    error('bad_args: out of range')
  end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {counter, shut} end
  if lists < gate.lists then return {counter, 'stale'} end
  local book = open_numbers(keys[1], 'q', 4, 0)
  if ends > 0 and ends <= clock_of(book) then return {counter, 'over'} end
  local q = field_of(book, counter)
  if not q then
    q = {0, 0, 0, ends, numbers = true}
    book.fields[counter] = q
    if ends > 0 then book.created[1] = {counter, ends} end
  end
  q[GRANTED], q[UNDER] = whole(q[GRANTED] + some), ceiling
  book.changed[counter] = true
  plan_numbers(book)

  -- From here on only writes, and none may fail.
  write_numbers(book)
  return {counter, 'granted'}
end

--[[
give_back: what a shard does not use of its quota, for others. `keep`: only where it was granted
under a higher ceiling than is in force.

keys   1 control   2 journal
args   1 run id   2 list: counter, ceiling, keep
reply  counter, returned, how much;  or cold | full
]]
local function give_back(keys, args)
  local counter, ceiling, keeps = unpack(cmsgpack.unpack(args[2]))
  ceiling = whole(ceiling)
  if #keys ~= 2 or not is_shared(counter) then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {counter, shut} end
  local book = open_numbers(keys[1], 'q', 4, 0)
  local q = field_of(book, counter)
  local idle = q and q[GRANTED] - q[USED] or 0
  if q and q[ENDS] > 0 and q[ENDS] <= clock_of(book) then idle = 0 end
  if idle <= 0 or (keeps == 1 and q[UNDER] <= ceiling) then return {counter, 'returned', 0} end
  q[GRANTED] = q[USED]
  book.changed[counter] = true
  plan_numbers(book)

  -- From here on only writes, and none may fail.
  write_numbers(book)
  return {counter, 'returned', idle}
end

redis.register_function('authz_lease', lease)
redis.register_function('authz_grant', grant)
redis.register_function({function_name = 'authz_return', callback = give_back, flags = {'allow-oom'}})
