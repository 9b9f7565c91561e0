-- How many subscribers there may be, of whom, and how fast they may come.
--
-- Who is over a limit gets an answer that EventSource comes back from, after a time of its own.
-- What is counted are streams, and polls while they wait; a limit of 0 counts nothing.
--
-- Phases: arrive(), admit() access, comes_too_fast() access and content, release() log.

local config = require("pushgate.config")
local leases = require("pushgate.leases")
local monotonic = require("pushgate.monotonic")
local refusal = require("pushgate.refusal")

local byte = string.byte
local sub = string.sub
local shared = ngx.shared.pushgate_leases

-- Reasons, and how long who is refused stays away: drawn between the two.
local FULL = { "full", 10000, 30000 }
local RATE = { "rate", 2000, 10000 }
local ADDRESS = { "address_limit", 30000, 60000 }
local USER = { "user_limit", 30000, 60000 }

local MAPPED = ("\0"):rep(10) .. "\255\255"
local IPV6_LOOPBACK = ("\0"):rep(15) .. "\1"

-- What most have taken.
local NOTHING = {}

local _M = {}

-- Streams of this worker.
local streams = 0

local function refuse(why)
    return refusal.for_now(why[1], why[2], why[3])
end

-- Whom the client's address stands for: an IPv4 address, or the 64 bits of an IPv6 network, for one
-- machine has all of those. nil for this machine itself: a proxy in front, or a load test.
local function network()
    local address = ngx.var.binary_remote_addr
    if #address == 16 then
        if sub(address, 1, 12) == MAPPED then
            address = sub(address, 13)
        elseif address == IPV6_LOOPBACK then
            return nil
        else
            return sub(address, 1, 8)
        end
    end
    if #address ~= 4 or byte(address) == 127 then
        return nil
    end
    return address
end

-- Whether one more may come now, at `rate` a second and as many at once. Each one moves the time
-- `name` further; it may lie a second ahead (and a rounding).
local function is_in_time(name, rate)
    local now = monotonic.now()
    local at = math.max(shared:get(name) or 0, now) + 1 / rate
    if at > now + 1.001 then
        return false
    end
    shared:set(name, at, 2)
    return true
end

-- Whether `what`, which is counted by itself, is one too many for this gateway, or for its address,
-- just now.
function _M.comes_too_fast(what)
    local settings = config.get()
    if settings.connects_per_second > 0 and not is_in_time(what, settings.connects_per_second) then
        return true
    end
    local from = settings.address_connects_per_second > 0 and network()
    return from and not is_in_time(what .. " " .. from, settings.address_connects_per_second)
end

-- Before anything is done for the request but reading its address. Answers it itself when this is
-- not the time.
function _M.arrive()
    -- nginx would drop connections at its own end without a word.
    if streams >= config.get().worker_streams then
        return refuse(FULL)
    end
    if _M.comes_too_fast("rate") then
        return refuse(RATE)
    end
end

-- Takes one of `name` for this request, if there are not `most` yet. Returns whether it did.
local function take(name, most)
    if leases.take(name) > most then
        leases.give(name)
        return false
    end
    local taken = ngx.ctx.taken
    if taken == NOTHING then
        taken = {}
        ngx.ctx.taken = taken
    end
    taken[#taken + 1] = name
    return true
end

-- Answers the request itself when there are too many. `identity` is what doors.open() returned.
function _M.admit(identity)
    local settings = config.get()
    streams = streams + 1
    ngx.ctx.taken = NOTHING
    if settings.max_streams > 0 and not take("all", settings.max_streams) then
        return refuse(FULL)
    end
    local from = settings.max_streams_per_address > 0 and network()
    if from and not take("address " .. from, settings.max_streams_per_address) then
        return refuse(ADDRESS)
    end
    local user = settings.max_streams_per_user > 0 and identity and identity.sub
    if user and not take("user " .. user, settings.max_streams_per_user) then
        return refuse(USER)
    end
end

-- Gives back what admit() took for this request, if it took anything.
function _M.release()
    local taken = ngx.ctx.taken
    if not taken then
        return
    end
    ngx.ctx.taken = nil
    streams = streams - 1
    for i = 1, #taken do
        leases.give(taken[i])
    end
end

return _M
