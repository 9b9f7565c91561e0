-- How many subscribers there may be, of whom, and how fast they may come.
--
-- Phases: admit() access, release() log.

local _M = {}

-- Answers the request itself when there are too many. `identity` is what doors.open() returned.
function _M.admit(identity) -- luacheck: ignore identity
end

-- Gives back what admit() took for this request, if it took anything.
function _M.release()
end

return _M
