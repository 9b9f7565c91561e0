-- Sends each frame at once: without TCP_NODELAY the kernel keeps a frame back until the client has
-- acknowledged the one before, which far away is a fifth of a second later. nginx sets it on
-- kept-alive connections and on HTTP/2, not on a stream like ours, and has no setting for more. A
-- connection inherits it from the socket it comes in by.
--
-- Phase: send_at_once() init_worker.

local ffi = require("ffi")

ffi.cdef [[
int getsockopt(int descriptor, int level, int option, void *value, unsigned int *bytes);
int setsockopt(int descriptor, int level, int option, const void *value, unsigned int bytes);
]]

-- Linux' numbers.
local SOL_SOCKET, SO_ACCEPTCONN, SO_DOMAIN = 1, 30, 39
local AF_INET, AF_INET6 = 2, 10
local IPPROTO_TCP, TCP_NODELAY = 6, 1
-- nginx opens its listening sockets before all else, so their numbers are low.
local HIGHEST_DESCRIPTOR = 1023

local value, bytes = ffi.new("int[1]"), ffi.new("unsigned int[1]")

-- What a socket says of itself; nil for what is no socket.
local function option(descriptor, name)
    bytes[0] = ffi.sizeof(value)
    if ffi.C.getsockopt(descriptor, SOL_SOCKET, name, value, bytes) ~= 0 then
        return nil
    end
    return value[0]
end

local _M = {}

-- For all connections that this worker will take by TCP.
function _M.send_at_once()
    for descriptor = 0, HIGHEST_DESCRIPTOR do
        if option(descriptor, SO_ACCEPTCONN) == 1 then
            local domain = option(descriptor, SO_DOMAIN)
            if domain == AF_INET or domain == AF_INET6 then
                value[0] = 1
                if ffi.C.setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, value,
                    ffi.sizeof(value)) ~= 0
                then
                    ngx.log(ngx.WARN, "could not have frames sent at once: errno ", ffi.errno())
                end
            end
        end
    end
end

return _M
