-- holds_lease: included by every script that acts for the holder of a lease.
-- A lease is held by whom its key names, token and all; an expired one is held by nobody, and so is
-- one of another life of Redis: what its holder remembers of the streams may be more than a Redis
-- has that was set back, or that took over.

local this_life

-- Which life of Redis this is; "" where that may not be asked.
local function life()
    if not this_life then
        local told = redis.pcall("INFO", "server")
        this_life = type(told) == "string" and told:match("run_id:(%x%x%x%x%x%x%x%x)") or ""
    end
    return this_life
end

-- What the key of a lease holds while it is this holder's. `holder` is <token>:<owner>.
local function lease_of(holder)
    return (holder:gsub(":", "@" .. life() .. ":", 1))
end

local function holds_lease(lease_key, holder)
    return redis.call("GET", lease_key) == lease_of(holder)
end
