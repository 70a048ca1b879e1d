using System.Text.Json.Nodes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Tests.Text.Templates.Jinja;

/// <summary>The same renderings as transformers', to the character, and the same refusals.</summary>
[Trait("kind", "parity")]
public sealed class JinjaParityTests
{
    private static readonly JsonNode Chat = Read("chat_templates.json"), Own = Read("jinja_cases.json");

    public static TheoryData<int> ChatCases => [.. Enumerable.Range(0, Chat["cases"]!.AsArray().Count)];

    public static TheoryData<int> OwnCases => [.. Enumerable.Range(0, Own["cases"]!.AsArray().Count)];

    [Theory]
    [MemberData(nameof(ChatCases))]
    public void A_chat_template_gives_the_text_that_transformers_gives(int index)
    {
        var item = Chat["cases"]![index]!.AsObject();
        var variables = item["arguments"]!.DeepClone().AsObject();
        variables["messages"] = Chat["conversations"]![item["conversation"]!.ToString()]!.DeepClone();
        variables.TryAdd("tools", null);
        variables.TryAdd("documents", null);
        Check(item, Chat["templates"]![item["template"]!.ToString()]!.ToString(), variables);
    }

    [Theory]
    [MemberData(nameof(OwnCases))]
    public void The_language_is_the_one_that_transformers_speaks(int index)
    {
        var item = Own["cases"]![index]!.AsObject();
        Check(item, item["template"]!.ToString(), Own["variables"]!.DeepClone().AsObject());
    }

    private static void Check(JsonObject item, string template, JsonObject variables)
    {
        if (item.ContainsKey("error"))
        {
            Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(template).Render(variables));
            return;
        }
        var text = JinjaTemplate.Parse(template).Render(variables);
        Assert.Equal(item["output"]!.ToString(), text.Text);
        // Python counts code points.
        int Place(int offset) => text.Text[..offset].EnumerateRunes().Count();
        Assert.Equal(
            (item["spans"]?.AsArray() ?? []).Select(span => ((int)span![0]!, (int)span[1]!)),
            text.Generated.Select(span => (Place(span.Start), Place(span.Start + span.Length))));
    }

    private static JsonNode Read(string name) => JsonNode.Parse(File.ReadAllBytes(TextFixtures.At("chat", name)))!;
}
