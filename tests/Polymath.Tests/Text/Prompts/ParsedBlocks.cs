using System.Text.Json.Nodes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>A template's blocks beside those of the reference, in which each soft token is a block.</summary>
internal static class ParsedBlocks
{
    public static void Compare(PromptTemplate template, JsonArray expected, string where, List<string> faults)
    {
        var soft = template.SoftTokens.ToLookup(token => token.Block);
        var blocks = template.Blocks.SelectMany(block => block is SoftBlock one
            ? soft[one].Select(token => new JsonObject { ["soft"] = token.Surface })
            : [Written(block)]).ToList();
        if (blocks.Count != expected.Count)
        {
            faults.Add($"{where}: {blocks.Count} blocks, not {expected.Count}");
            return;
        }
        for (var i = 0; i < blocks.Count; i++)
        {
            var wanted = expected[i]!.DeepClone().AsObject();
            wanted.Remove("post_processing");
            if (wanted.ContainsKey("soft"))
            {
                wanted = new JsonObject { ["soft"] = wanted["soft"]?.GetValue<string>() ?? "" };
            }
            if (wanted.ContainsKey("mask")) wanted["mask"] = null;
            if (!JsonNode.DeepEquals(blocks[i], wanted))
                faults.Add($"{where}: block {i} is {blocks[i].ToJsonString()}, not {wanted.ToJsonString()}");
        }
    }

    private static JsonObject Written(PromptBlock block)
    {
        var written = new JsonObject { ["add_prefix_space"] = block.Prefix };
        if (block.Shortenable is { } cut) written["shortenable"] = cut;
        var (key, value) = block switch
        {
            FieldBlock field => ("placeholder", field.Field),
            MetaBlock meta => ("meta", meta.Name),
            SpecialBlock special => ("special", special.Token),
            TextBlock text => ("text", text.Text),
            _ => ("mask", (string?)null),
        };
        written[key] = value;
        return written;
    }
}
