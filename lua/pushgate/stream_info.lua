-- What Redis says of a stream.
--
-- Pure: no nginx phase, no I/O.

local _M = {}

-- A field of an XINFO STREAM reply, which is a flat list of names and values; nil when it has none.
function _M.field(info, name)
    for i = 1, #info, 2 do
        if info[i] == name then
            return info[i + 1]
        end
    end
    return nil
end

return _M
