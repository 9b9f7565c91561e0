-- The push_stream engine: fans frames out with nginx' push-stream module. See engine.lua for what
-- an engine does.
--
-- Phases: admit() access, filter() body filter, the rest as engine.lua says.
--
-- The module is reached over a unix socket of this same nginx (servers/engine.conf), because timers
-- have no subrequests. One connection is served by one worker, one request after the other, so
-- that frames of one batch keep their order on every channel and in every worker.
--
-- The moment at which all channels of a subscriber are registered
-- ---------------------------------------------------------------
-- The module's streaming subscriber (0.6.0, read in its source) does this in one go, without
-- yielding: for each channel of the path in turn it sends the stored messages, lets go of the
-- channel's lock, takes it again and registers. A message that ANOTHER worker publishes between
-- the two is queued only for workers that already have a subscriber of that channel: the first
-- subscriber of a channel in a worker loses it, whatever backlog it asked for. With several
-- channels the stored messages also come channel by channel, not in the log's order. So the
-- module's own backlog is not used for frames.
--
-- Instead every path ends with "_all.b1", a channel of ours, which no client can name (a channel
-- begins with a letter or digit) and which always holds exactly one stored message. It is the last
-- to be registered, and its stored message makes the module call our body filter when all other
-- channels ARE registered: that is subscribe.begin().

local config = require("pushgate.config")
local connections = require("pushgate.connections")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local locks = require("pushgate.engine.push_stream.locks")
local places = require("pushgate.engine.push_stream.places")
local subscribe = require("pushgate.subscribe")

local json = require("cjson.safe")

local concat = table.concat
local match = string.match
local state = ngx.shared.pushgate_state
local tonumber = tonumber

local ALL = "_all"
local CONNECT_MS = 1000
local ANSWER_MS = 5000
-- A batch is written whole before its answers are read: both must fit into the socket's buffers.
local BATCH_ENTRIES = 64
local BATCH_BYTES = 128 * 1024
local ENDED = "ended"

local _M = {}
local mt = { __index = _M }

function _M.load()
    places.load()
end

function _M.start()
    places.pause()
    -- The last before the module's own start.
    locks.find(places.address())
    locks.open()
    places.watch()
end

-- Phase: access of the locations that publish.
function _M.before_publishing()
    locks.open()
    places.wait()
    generation.check()
end

-- Lets a subscriber of subscribe.prepare() in: the module takes the request over.
function _M.admit(subscriber)
    locks.open()
    -- The module would let a header turn the stream into long-polling.
    ngx.req.clear_header("X-Nginx-PushStream-Mode")
    ngx.var.pushgate_path = concat(subscriber.names, "/") .. "/" .. ALL .. ".b1"
end

-- Called for each block the module sends to a subscriber. The module flags each buffer as the
-- chain's last, which this phase shows as the end of the response: it must be taken back with every
-- replacement.
--
-- A stream that ends gets its end, on which the client closes the connection. Over HTTP/2, where
-- one connection has many streams, only the module can finish the request: an error returned from
-- here is a broken connection to it. It must not get one while it is registering the subscriber,
-- and what is still to be said must go out before; then it comes with the next block.
function _M.filter()
    local subscriber = ngx.ctx.subscriber
    local block = ngx.arg[1]
    if not subscriber or block == "" then
        return
    end
    connections.sends(subscriber)
    local started = subscriber.started
    local text, ends
    if started == true then
        text, ends = subscribe.pass(subscriber, block)
    elseif started == ENDED then
        return ngx.ERROR
    else
        text, ends = subscribe.begin(subscriber, block)
    end
    if ends then
        if ngx.var.server_protocol ~= "HTTP/2.0" then
            connections.close(subscriber)
        elseif started and text == "" then
            return ngx.ERROR
        else
            subscriber.started, ends = ENDED, false
        end
    end
    if text then
        ngx.arg[1] = text
        ngx.arg[2] = ends or false
    end
end

local function request(method, location, names, body)
    return method .. " " .. location .. "?id=" .. names .. " HTTP/1.1\r\nHost: engine\r\n"
        .. (body and "Content-Length: " .. #body .. "\r\n\r\n" .. body or "\r\n")
end

-- Reads one answer. Returns status, body; or nil and an error.
local function read_answer(link)
    local head, err = link.read_head()
    if not head then
        return nil, "could not read the engine's answer: " .. err
    end
    local status = tonumber(match(head, "^HTTP/1%.[01] (%d%d%d)"))
    local length = tonumber(match(head, "\r\n[Cc]ontent%-[Ll]ength: (%d+)"))
    if not status or not length then
        return nil, "the engine's answer is not understood"
    end
    if length == 0 then
        return status, ""
    end
    local body
    body, err = link.socket:receive(length)
    if not body then
        return nil, "could not read the engine's answer: " .. err
    end
    return status, body
end

-- Opens a link. Returns it; or nil and an error.
function _M.open()
    local socket, err = ngx.socket.tcp()
    if not socket then
        return nil, "could not open a socket: " .. err
    end
    socket:settimeouts(CONNECT_MS, ANSWER_MS, ANSWER_MS)
    local ok
    ok, err = socket:connect("unix:" .. config.get().engine_socket)
    if not ok then
        return nil, "could not connect to the engine: " .. err
    end
    return setmetatable({ socket = socket, read_head = socket:receiveuntil("\r\n\r\n") }, mt)
end

function _M:close()
    self.socket:close()
end

-- Hands over entries[from], entries[from + 1], ... in order, as many as make a batch. An entry is
-- {names = list, block = bytes}.
--
-- Returns how many were taken, and when that is not the whole batch: an error, and whether the
-- first one not taken was refused for good. Nothing behind it has been taken then: the connection
-- ends with the first answer that is no success (end_on_failure), and what was sent behind it is
-- never looked at. After an error, open a new link.
function _M:hand_over(entries, from)
    local parts, bytes = {}, 0
    for i = from, #entries do
        local entry = entries[i]
        if #parts == BATCH_ENTRIES or (bytes > 0 and bytes + #entry.block > BATCH_BYTES) then
            break
        end
        parts[#parts + 1] = request("POST", "/frames", concat(entry.names, "/"), entry.block)
        bytes = bytes + #entry.block
    end
    local sent, err = self.socket:send(parts)
    if not sent then
        -- It may have broken in the middle: what was taken is sent again, and dropped by its id.
        return 0, "could not write to the engine: " .. err, false
    end
    for taken = 0, #parts - 1 do
        local status, why = read_answer(self)
        if status ~= 200 then
            return taken, status and "the engine answered " .. status or why,
                status == 413 or status == 400 or status == 403
        end
    end
    return #parts
end

local function tell(link, location, names, comment)
    local sent, err = link.socket:send(request("POST", location, names, comment))
    if not sent then
        return nil, "could not write to the engine: " .. err
    end
    local status, why = read_answer(link)
    if status ~= 200 then
        return nil, status and "the engine answered " .. status or why
    end
    return true
end

-- Returns true; or nil and an error, after which a new link is needed.
function _M:tell(names, comment)
    return tell(self, "/frames", concat(names, "/"), comment)
end

-- The same to every subscriber. The module keeps it as the one stored message of "_all".
function _M:tell_all(comment)
    return tell(self, "/all", ALL, comment)
end

-- Phase: header filter of the locations that publish. Makes nginx end the connection.
function _M.end_on_failure()
    if ngx.status ~= 200 then
        ngx.header["Connection"] = "close"
    end
end

-- Makes sure that "_all" holds its message. Returns true; or nil and an error.
function _M.ready()
    if state:get("engine:ready") then
        return true
    end
    local link, err = _M.open()
    if not link then
        return nil, err
    end
    local ok
    ok, err = link:tell_all(frames.MARKER)
    link:close()
    if not ok then
        return nil, err
    end
    state:set("engine:ready", true)
    return true
end

local function ask_statistics(id)
    local link, err = _M.open()
    if not link then
        return nil, err
    end
    local sent
    sent, err = link.socket:send(request("GET", "/statistics", id))
    if not sent then
        link:close()
        return nil, "could not write to the engine: " .. err
    end
    local status, body = read_answer(link)
    link:close()
    return status, body
end

-- How many channels the module has now, those too whose memory it has not given back yet. nil when
-- it does not say.
local function count_channels()
    local status, body = ask_statistics("")
    local count = 0
    for _, name in ipairs({ "channels", "channels_in_delete", "channels_in_trash" }) do
        local number = status == 200 and match(body, '"' .. name .. '": (%d+)')
        if not number then
            return nil
        end
        count = count + tonumber(number)
    end
    return count
end

-- Whether there is memory for `wanted` channels more. Frames need some too: without any they would
-- wait, all of them, for a channel to be forgotten. True; or nil and an error.
function _M.has_room(wanted)
    -- Counted by the module once a second, and in between as if no channel were there already.
    local count = state:incr("engine:channels", wanted)
    if not count then
        if not state:add("engine:counting", true, 2) then
            return true
        end
        count = count_channels() or 0
        state:set("engine:channels", count, 1)
        state:delete("engine:counting")
    end
    local most = config.get().most_channels
    if count >= most then
        return nil, ("there are %d channels, and PUSHGATE_ENGINE_MEMORY is for %d")
            :format(count, most)
    end
    return true
end

-- Takes what is our own out of what the module says of all.
local function without_all(found)
    if found.infos then
        for i = #found.infos, 1, -1 do
            if found.infos[i].channel == ALL then
                table.remove(found.infos, i)
            end
        end
        found.channels = math.max(0, found.channels - 1)
        return found
    end
    local status, body = ask_statistics(ALL)
    local own = status == 200 and json.decode(body)
    if own then
        found.channels = math.max(0, found.channels - 1)
        for _, name in ipairs({ "published_messages", "stored_messages" }) do
            found[name] = math.max(0, found[name] - own[name])
        end
    end
    return found
end

-- The module's statistics as a table of its own fields: of a channel; of several ("a/b"), "ALL" or
-- those with a prefix ("a*"), with a list `infos`; or of "", a summary.
-- Returns status, table; or nil and an error.
function _M.statistics(id)
    local status, body = ask_statistics(id)
    if status ~= 200 then
        return status, body
    end
    local found = json.decode(body)
    if type(found) ~= "table" then
        return nil, "the engine's statistics are not understood"
    end
    if found.channel then
        return status, found
    end
    return status, without_all(found)
end

return _M
