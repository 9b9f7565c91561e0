-- holds_lease: included by every script that acts for the holder of a lease.
-- A lease is held by whom its key names, token and all; an expired one is held by nobody.
local function holds_lease(lease_key, holder)
    return redis.call("GET", lease_key) == holder
end
