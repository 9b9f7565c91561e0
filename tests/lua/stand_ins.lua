-- A shared dict that is a table, and a nginx of which little is there.

local _M = {}

function _M.dict()
    local values, flags = {}, {}
    local dict = { values = values }
    function dict:get(key) -- luacheck: ignore self
        return values[key], flags[key]
    end
    function dict:set(key, value, _, new_flags) -- luacheck: ignore self
        values[key], flags[key] = value, new_flags
        return true, nil, dict.is_full
    end
    function dict:safe_set(key, value, ...)
        if dict.is_full then
            return nil, "no memory"
        end
        return self:set(key, value, ...)
    end
    function dict:safe_add(key, value, ...)
        if dict.is_full then
            return nil, "no memory"
        end
        return self:add(key, value, ...)
    end
    function dict:add(key, value, _, new_flags) -- luacheck: ignore self
        if values[key] ~= nil then
            return false, "exists"
        end
        values[key], flags[key] = value, new_flags
        return true, nil, dict.is_full
    end
    function dict:expire() -- luacheck: ignore self
        return true
    end
    function dict:incr(key, amount, first) -- luacheck: ignore self
        if values[key] == nil and not first then
            return nil, "not found"
        end
        values[key] = (values[key] or first) + amount
        return values[key]
    end
    function dict:delete(key) -- luacheck: ignore self
        values[key] = nil
    end
    function dict:get_keys() -- luacheck: ignore self
        local keys = {}
        for key in pairs(values) do
            keys[#keys + 1] = key
        end
        return keys
    end
    return dict
end

-- Sets `ngx` and forgets the modules named, so that they are loaded anew with it.
function _M.begin(modules)
    local now = 1000
    local nginx = { shared = {}, ctx = {}, ERR = "error", WARN = "warn" }
    for _, name in ipairs({ "pushgate_state", "pushgate_recent", "pushgate_counts" }) do
        nginx.shared[name] = _M.dict()
    end
    function nginx.now()
        return now
    end
    function nginx.set_now(seconds)
        now = seconds
    end
    nginx.update_time, nginx.log, nginx.sleep = function() end, function() end, function() end
    nginx.worker = { pid = function() return nginx.pid or 1 end, exiting = function() end }
    nginx.timer = { every = function() return true end, at = function() return true end }
    _G.ngx = nginx
    for _, name in ipairs(modules) do
        package.loaded["pushgate." .. name] = nil
    end
    return nginx
end

return _M
