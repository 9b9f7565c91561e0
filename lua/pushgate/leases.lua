-- What this gateway's workers hold, counted by name over all of them. Each count is a lease: it is
-- worth something only as long as its worker is alive.
--
-- Shared dict pushgate_leases, bounded, least recently used goes first:
--   worker <n>     the pid of the n-th worker; the worker renews it each second
--   <pid> <name>   how many it holds of the name; renewed too, long before it expires
-- A worker that was killed stops being asked within three seconds, and what it held expires. Who
-- takes one makes it known first and counts then, so two workers never take the last one both.
--
-- Phases: take(), give() all; start() init_worker.

local leases = ngx.shared.pushgate_leases

local ALIVE_SECONDS = 3
local BEAT_SECONDS = 1
local KEEP_SECONDS = 900
local RENEW_SECONDS = 300
-- So many are renewed before somebody else has a turn.
local RENEW_AT_ONCE = 500

local _M = {}

local prefix = ""
-- What the other living workers put before a name; and what this one holds.
local others, held = {}, {}

-- Takes one more. Returns how many all workers hold now.
function _M.take(name)
    local count = (held[name] or 0) + 1
    held[name] = count
    leases:set(prefix .. name, count, KEEP_SECONDS)
    for i = 1, #others do
        count = count + (leases:get(others[i] .. name) or 0)
    end
    return count
end

-- Gives one back.
function _M.give(name)
    local count = held[name] - 1
    if count > 0 then
        held[name] = count
        leases:set(prefix .. name, count, KEEP_SECONDS)
    else
        held[name] = nil
        leases:delete(prefix .. name)
    end
end

local function beat(premature)
    if premature then
        return
    end
    local mine = ngx.worker.id()
    leases:set("worker " .. mine, prefix, ALIVE_SECONDS)
    local found = {}
    for id = 0, ngx.worker.count() - 1 do
        local other = id ~= mine and leases:get("worker " .. id)
        if other then
            found[#found + 1] = other
        end
    end
    others = found
end

local function renew(premature)
    if premature then
        return
    end
    local names = {}
    for name in pairs(held) do
        names[#names + 1] = name
    end
    for i, name in ipairs(names) do
        if held[name] then
            leases:set(prefix .. name, held[name], KEEP_SECONDS)
        end
        if i % RENEW_AT_ONCE == 0 then
            ngx.sleep(0.001)
        end
    end
end

local function every(seconds, work)
    local ok, err = ngx.timer.every(seconds, work)
    if not ok then
        ngx.log(ngx.ERR, "could not start a timer of the leases: ", err)
    end
end

function _M.start()
    prefix = ngx.worker.pid() .. " "
    beat()
    every(BEAT_SECONDS, beat)
    every(RENEW_SECONDS, renew)
end

return _M
