-- The Redis keys the gateway uses. All carry the namespace as their hash tag.
--
-- Pure: no nginx phase, no I/O. Held to tests/golden/keys.json, as is pushgate/keys.py.

local _M = {}
local mt = { __index = _M }

-- Raises when the namespace is anything but 1-63 of a-z 0-9 _ . -
function _M.new(namespace)
    if #namespace > 63 or not namespace:find("^[a-z0-9][a-z0-9_.-]*$") then
        error("namespace \"" .. namespace .. "\": use 1-63 of a-z 0-9 _ . -, beginning with a "
            .. "letter or digit", 2)
    end
    local prefix = "{" .. namespace .. "}:"
    return setmetatable({
        prefix = prefix,
        log = prefix .. "log",
        epoch = prefix .. "epoch",
        ledger = prefix .. "ledger",
        revoked = prefix .. "revoked",
    }, mt)
end

-- The history of one channel.
function _M:channel(name)
    return self.prefix .. "channel:" .. name
end

-- Stands while a second put of the event is to be dropped.
function _M:put(event_id)
    return self.prefix .. "put:" .. event_id
end

return _M
