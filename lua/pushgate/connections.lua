-- This worker's streams as connections: cuts those of subscribers that take less than they are
-- sent, and closes those that have ended.
--
-- Why slow readers are cut, and so soon: what waits for a subscriber is not copied, it lies in the
-- engine's shared memory, and the push-stream module frees a frame ten seconds after its workers
-- have sent it (OBJECTS_TTL in its source), whoever still waits. Bytes that waited longer could be
-- another channel's. nginx' own send_timeout does not do: each further frame starts it anew.
--
-- So every worker looks each second at the connections to which something was sent since the last
-- look, and at those that had something waiting then; one that had at every look for LIMIT_SECONDS
-- is shut down: after that not one byte of what waits can go out. With the
-- second before the first look and the one after the last, nothing waits longer than 7 seconds.
-- The client sees a broken connection after whole frames it had, comes back, and resumes by its
-- cursor. A subscriber to whom nothing is sent costs nothing.
--
-- Each also gets TCP_NODELAY, which nginx sets only for a connection it keeps: a frame must not
-- wait until the one before it is acknowledged.
--
-- A stream that has ended is closed by its client. One that is not is shut down at the next look.
--
-- The byte is `buffered` of nginx' own ngx_connection_t, which no API shows. Its place is proved in
-- each worker by its neighbours, which variables show; where they differ nobody is let in.
--
-- Phases: enter() access, sends(), close() wherever the engine sends from, leave() log, start()
-- init_worker.

local bit = require("bit")
local ffi = require("ffi")
local get_request = require("resty.core.base").get_request

local monotonic = require("pushgate.monotonic")

local band = bit.band
local cast = ffi.cast
local C = ffi.C
local tonumber = tonumber

-- ngx_connection_t of nginx 1.21-1.29 with --with-compat, up to the field that is needed.
ffi.cdef([[
typedef struct {
    void *data, *read, *write;
    int fd;
    void *recv, *send, *recv_chain, *send_chain, *listening;
    int64_t sent;
    void *log, *pool;
    int type;
    void *sockaddr;
    unsigned int socklen;
    size_t addr_text_length;
    void *addr_text_data, *proxy_protocol, *quic, *ssl, *udp, *local_sockaddr;
    unsigned int local_socklen;
    void *buffer, *queue_prev, *queue_next;
    uintptr_t number, start_time, requests;
    uint8_t buffered;
} pushgate_connection_t;
typedef struct { uint32_t signature; pushgate_connection_t *connection; } pushgate_request_t;
typedef struct { int fd; short events, revents; } pushgate_poll_t;
typedef struct { int on, seconds; } pushgate_linger_t;
int shutdown(int fd, int how);
int setsockopt(int fd, int level, int name, const void *value, unsigned int length);
int poll(void *polls, unsigned long count, int timeout);
]])

local LOOK_SECONDS = 1
local LIMIT_SECONDS = 5

-- NGX_HTTP_WRITE_BUFFERED. Other bits alone mean that only TLS or HTTP/2 still has something, and
-- HTTP/2 takes its bit back only with the next frame: then the socket is asked.
local WRITE_BUFFERED = 0x10
local POLLOUT = 4
local SOL_SOCKET, SO_LINGER, SHUT_RDWR = 1, 13, 2
local IPPROTO_TCP, TCP_NODELAY = 6, 1

local connection_type = ffi.typeof("pushgate_connection_t *")
local request_type = ffi.typeof("pushgate_request_t *")
local linger = ffi.new("pushgate_linger_t", 1, 0)
local polled = ffi.new("pushgate_poll_t")
local yes = ffi.new("int[1]", 1)

local _M = {}

-- This worker's subscribers, and of each its connection's address and since when something waits
-- for it (0: nothing does).
local count = 0
local subscribers, addresses, waits_since = {}, {}, {}
local is_proved = false

-- Those to look at next: to them something was sent, or for them something waits. Two lists in
-- turn.
local looks = 1
local next_ones, next_count, last_ones = {}, 0, {}

-- Whether the connection is laid out as this file has it. Returns true; or nil and an error.
local function prove(connection)
    if tonumber(connection.number) ~= tonumber(ngx.var.connection)
        or tonumber(connection.requests) ~= tonumber(ngx.var.connection_requests)
    then
        return nil, "this nginx is not laid out as connections.lua has it; use Debian 13's"
    end
    is_proved = true
    return true
end

-- Watches the connection of this request. Returns true; or nil and an error.
function _M.enter(subscriber)
    local connection = cast(request_type, get_request()).connection
    if not is_proved then
        local ok, err = prove(connection)
        if not ok then
            return nil, err
        end
    end
    C.setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, yes, ffi.sizeof(yes))
    count = count + 1
    subscriber.place = count
    subscribers[count] = subscriber
    addresses[count] = tonumber(cast("uintptr_t", connection))
    waits_since[count] = 0
    return true
end

-- Watches it no longer: its connection is about to be another one's.
function _M.leave(subscriber)
    local place = subscriber.place
    if not place then
        return
    end
    subscribers[place], addresses[place] = subscribers[count], addresses[count]
    waits_since[place] = waits_since[count]
    subscribers[place].place = place
    subscribers[count], addresses[count], waits_since[count] = nil, nil, nil
    count = count - 1
    subscriber.place = nil
end

-- Something is sent to the subscriber. Called for each block.
function _M.sends(subscriber)
    if subscriber.look ~= looks then
        subscriber.look = looks
        next_count = next_count + 1
        next_ones[next_count] = subscriber
    end
end

-- The subscriber has been sent its end.
function _M.close(subscriber)
    if subscriber.place then
        subscriber.closes = true
        waits_since[subscriber.place] = monotonic.now()
    end
end

local function is_writable(fd)
    polled.fd, polled.events, polled.revents = fd, POLLOUT, 0
    return C.poll(polled, 1, 0) > 0 and band(polled.revents, POLLOUT) ~= 0
end

-- The reset lets the kernel forget at once what it has not got rid of.
local function cut(fd)
    C.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
    C.shutdown(fd, SHUT_RDWR)
end

-- One that has something waiting now.
local function judge(place, connection, now)
    if band(connection.buffered, WRITE_BUFFERED) == 0 and is_writable(connection.fd) then
        waits_since[place] = 0
    elseif waits_since[place] == 0 then
        waits_since[place] = now
    elseif now - waits_since[place] >= LIMIT_SECONDS then
        -- nginx hears of it in its next turn, and takes it off the list.
        waits_since[place] = math.huge
        subscribers[place].departed = "slow"
        cut(connection.fd)
    end
end

-- One that has nothing waiting any more.
local function settle(place, connection)
    if not subscribers[place].closes then
        waits_since[place] = 0
    elseif waits_since[place] ~= math.huge then
        waits_since[place] = math.huge
        C.shutdown(connection.fd, SHUT_RDWR)
    end
end

-- This worker ends: the engine has ended its streams or never will.
local function close_all()
    for place = 1, count do
        local connection = cast(connection_type, addresses[place])
        if connection.buffered == 0 then
            C.shutdown(connection.fd, SHUT_RDWR)
        end
    end
end

local function look(premature)
    if premature then
        return close_all()
    end
    local now = monotonic.now()
    local ones, last = next_ones, next_count
    next_ones, next_count, last_ones = last_ones, 0, ones
    looks = looks + 1
    for i = 1, last do
        local subscriber = ones[i]
        local place = subscriber.place
        ones[i] = nil
        if place then
            local connection = cast(connection_type, addresses[place])
            if connection.buffered ~= 0 then
                judge(place, connection, now)
                _M.sends(subscriber)
            elseif waits_since[place] ~= 0 then
                settle(place, connection)
            end
        end
    end
end

function _M.start()
    local ok, err = ngx.timer.every(LOOK_SECONDS, look)
    if not ok then
        ngx.log(ngx.ERR, "could not start looking for slow readers: ", err)
    end
end

return _M
