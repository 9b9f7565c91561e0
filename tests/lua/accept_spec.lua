local accept = require("pushgate.accept")

describe("who would rather have JSON", function()
    it("is who names it and nothing better", function()
        assert.is_true(accept.prefers_json("application/json"))
        assert.is_true(accept.prefers_json({ "text/html", "application/json" }))
        assert.is_false(accept.prefers_json(nil))
        assert.is_false(accept.prefers_json({}))
        assert.is_false(accept.prefers_json("application/json, text/event-stream"))
    end)

    it("is not put off by what is no media type", function()
        for _, header in ipairs({ "application/json;q=x", ";;,application/json;q=1.000,",
            "application/json ; q=0.001" }) do
            assert.is_true(accept.prefers_json(header))
        end
        for _, header in ipairs({ ",", ";q=1", "application", "/json", "application/json5" }) do
            assert.is_false(accept.prefers_json(header))
        end
    end)
end)
