-- The texts are what the push-stream module of Debian 13 answers to the same questions.

local formats = require("pushgate.statistics_formats")

local ONE = { channel = "a", published_messages = 2, stored_messages = 1, subscribers = 3 }
local TWO = { hostname = "h", time = "2026-11-28T18:18:02", channels = 2, wildcard_channels = 0,
    uptime = 1, infos = { ONE,
        { channel = "b", published_messages = 1, stored_messages = 1, subscribers = 0 } } }

local function text(accept, found)
    local format, content_type = formats.chosen(accept)
    return formats.text(format, found):gsub("\r\n", "|"), content_type
end

describe("an Accept header", function()
    local function content_type(accept)
        return (select(2, formats.chosen(accept)))
    end

    it("chooses the format and the content type", function()
        for accept, wanted in pairs({
            ["text/plain"] = "text/plain", ["application/json"] = "application/json",
            ["application/yaml"] = "application/yaml", ["application/xml"] = "application/xml",
            ["text/x-json"] = "text/x-json", ["text/x-yaml"] = "text/x-yaml",
            ["text/xml"] = "application/xml", ["text/html"] = "application/json",
            ["*/*"] = "application/json", [""] = "application/json",
            ["text/plain;q=0.5"] = "text/plain", ["APPLICATION/XML"] = "application/json",
            ["application/xml;q=0.9, text/plain"] = "application/xml",
        }) do
            assert.equal(wanted, content_type(accept), accept)
        end
        assert.equal("application/json", content_type(nil))
        assert.equal("application/json", content_type({ "text/plain", "a" }))
    end)
end)

describe("one channel", function()
    it("is shown as the module shows it", function()
        assert.equal('{"channel": "a", "published_messages": 2, "stored_messages": 1, '
            .. '"subscribers": 3}|', (text("application/json", ONE)))
        assert.equal("channel: a|published_messages: 2|stored_messages: 1|active_subscribers: 3|",
            (text("text/plain", ONE)))
        assert.equal('<?xml version="1.0" encoding="UTF-8" ?>|<channel>|  <name>a</name>|'
            .. "  <published_messages>2</published_messages>|"
            .. "  <stored_messages>1</stored_messages>|  <subscribers>3</subscribers>|"
            .. "</channel>||", (text("application/xml", ONE)))
        assert.equal("  channel: a|  published_messages: 2|  stored_messages: 1|"
            .. "  subscribers: 3|", (text("application/yaml", ONE)))
    end)
end)

describe("several channels", function()
    it("are shown as the module shows them", function()
        assert.equal('{"hostname": "h", "time": "2026-11-28T18:18:02", "channels": 2, '
            .. '"wildcard_channels": 0, "uptime": 1, "infos": [|{"channel": "a", '
            .. '"published_messages": 2, "stored_messages": 1, "subscribers": 3},|{"channel": "b", '
            .. '"published_messages": 1, "stored_messages": 1, "subscribers": 0}|]}|',
            (text("application/json", TWO)))
        assert.equal("hostname: h, time: 2026-11-28T18:18:02, channels: 2, wildcard_channels: 0, "
            .. "uptime: 1, infos: |channel: a|published_messages: 2|stored_messages: 1|"
            .. "active_subscribers: 3,|channel: b|published_messages: 1|stored_messages: 1|"
            .. "active_subscribers: 0|", (text("text/plain", TWO)))
        assert.equal("hostname: h|time: 2026-11-28T18:18:02|channels: 2|wildcard_channels: 0|"
            .. "uptime: 1|infos: | -|  channel: a|  published_messages: 2|  stored_messages: 1|"
            .. "  subscribers: 3| -|  channel: b|  published_messages: 1|  stored_messages: 1|"
            .. "  subscribers: 0|", (text("application/yaml", TWO)))
    end)
end)
