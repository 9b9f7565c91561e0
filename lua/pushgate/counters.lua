-- What this gateway has counted since it was started: one number a name, shared by its workers.
--
-- Names are few and fixed: nothing that comes from a client becomes part of one.
-- Phases: all.

local state = ngx.shared.pushgate_state

local PREFIX = "count:"

local _M = {}

function _M.add(name, amount)
    state:incr(PREFIX .. name, amount or 1, 0)
end

return _M
