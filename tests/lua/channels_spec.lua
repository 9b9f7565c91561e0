local channels = require("pushgate.channels")
local golden = require("golden")

local function as_it_is(text)
    return text
end

describe("a channel's name", function()
    for number, case in ipairs(golden.read("channels")) do
        it("is judged as the golden file says, case " .. number, function()
            assert.equal(case.valid, channels.check(case.name) == true, case.name)
        end)
    end

    it("is shown in the refusal without anything that could break a line", function()
        local _, sentence = channels.check("a\r\n\0\"b\\\255" .. ("x"):rep(1000))
        assert.is_nil(sentence:find("[%c\255]"))
        assert.is_true(#sentence < 400)
        assert.truthy(sentence:find(channels.RULE, 1, true))
    end)
end)

describe("a subscriber's address", function()
    it("names channels, each with an optional backlog", function()
        assert.same({ { name = "a", backlog = 0 }, { name = "b.c", backlog = 5 } },
            channels.parse_path("a/b.c.b5", as_it_is))
    end)

    it("names a channel once, with the longer backlog", function()
        assert.same({ { name = "a", backlog = 7 } },
            channels.parse_path("a.b2/a.b7/a", as_it_is))
    end)

    it("asks for no more backlog than there is", function()
        assert.equal(1000, channels.parse_path("a.b99999999999999999999", as_it_is)[1].backlog)
    end)

    it("is decoded part by part", function()
        local requested, sentence = channels.parse_path("a%2Fb", function(part)
            return (part:gsub("%%2F", "/"))
        end)
        assert.is_nil(requested)
        assert.truthy(sentence:find("a channel is", 1, true))
    end)

    it("takes sixteen channels and not seventeen", function()
        local names = {}
        for number = 1, 16 do
            names[number] = "c" .. number
        end
        assert.equal(16, #channels.parse_path(table.concat(names, "/"), as_it_is))
        names[17] = "c17"
        local requested, sentence = channels.parse_path(table.concat(names, "/"), as_it_is)
        assert.is_nil(requested)
        assert.truthy(sentence:find("too many channels", 1, true))
    end)

    for _, path in ipairs({ "", "/", "a/", "/a", "a//b", "a.b1.b2", "A", "a b" }) do
        it("is refused as \"" .. path .. "\"", function()
            assert.is_nil((channels.parse_path(path, as_it_is)))
        end)
    end
end)

describe("the channels of a log entry", function()
    it("are names joined by one space", function()
        assert.same({ "a", "b:1" }, channels.parse_field("a b:1"))
    end)

    for _, text in ipairs({ "", " ", "a ", " a", "a  b", "a,b", "A" }) do
        it("are malformed as \"" .. text .. "\"", function()
            assert.is_nil(channels.parse_field(text))
        end)
    end
end)

describe("a public prefix", function()
    it("lets in what begins with it, and nothing for an empty list", function()
        assert.is_true(channels.has_prefix("thread:1", { "forum:", "thread:" }))
        assert.is_false(channels.has_prefix("threads", { "thread:" }))
        assert.is_false(channels.has_prefix("thread:1", {}))
    end)
end)
