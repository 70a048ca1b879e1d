namespace Polymath.Text.Prompts;

/// <summary>A soft token's place.</summary>
/// <param name="Block">The block that asks for it.</param>
/// <param name="Id">The number of its vector, from 1.</param>
/// <param name="Surface">The token that the vector starts from; empty for random numbers, or where the vector was made before.</param>
public sealed record SoftToken(SoftBlock Block, int Id, string Surface);

/// <summary>The soft tokens of a template, numbered as in OpenPrompt's MixedTemplate (Ding et al. 2022).</summary>
/// <param name="Tokens">All places in order.</param>
/// <param name="InitialIds">For each vector, the vocabulary's id it starts from.</param>
/// <param name="Remarks">What has no effect.</param>
internal sealed record SoftPlan(IReadOnlyList<SoftToken> Tokens, IReadOnlyList<int?> InitialIds, IReadOnlyList<string> Remarks)
{
    public static SoftPlan None { get; } = new([], [], []);

    public static SoftPlan Of(IEnumerable<PromptBlock> blocks, Tokenizer tokenizer)
    {
        var (tokens, initial, remarks) = (new List<SoftToken>(), new List<int?>(), new List<string>());
        var known = new Dictionary<int, int[]>();
        foreach (var block in blocks.OfType<SoftBlock>())
        {
            if (block.Id is { } named && known.TryGetValue(named, out var before))
            {
                if (block.Words is not null)
                    remarks.Add($"At character {block.Position + 1}: soft_id {named} has its vectors already; '{block.Words}' has no "
                        + "effect.");
                tokens.AddRange(before.Select(id => new SoftToken(block, id, "")));
                continue;
            }
            var fresh = block.Words is null ? Unnamed(block, initial, tokens) : Worded(block, tokenizer, initial, tokens);
            if (block is { Words: not null, Count: > 1 })
                remarks.Add($"At character {block.Position + 1}: the words say how many soft tokens there are; duplicate has no effect.");
            if (block.Id is { } id) known[id] = fresh;
        }
        return new(tokens, initial, remarks);
    }

    private static int[] Unnamed(SoftBlock block, List<int?> initial, List<SoftToken> tokens)
    {
        var first = initial.Count + 1;
        initial.AddRange(Enumerable.Repeat<int?>(null, block.Same ? 1 : block.Count));
        int[] ids = [.. Enumerable.Range(0, block.Count).Select(i => block.Same ? first : first + i)];
        tokens.AddRange(ids.Select(id => new SoftToken(block, id, "")));
        return ids;
    }

    private static int[] Worded(SoftBlock block, Tokenizer tokenizer, List<int?> initial, List<SoftToken> tokens)
    {
        var first = initial.Count + 1;
        var words = tokenizer.Encode(block.Prefix + block.Words);
        initial.AddRange(words.Select(id => (int?)id));
        tokens.AddRange(words.Select((id, i) => new SoftToken(block, first + i, tokenizer.TokenOf(id))));
        return [.. Enumerable.Range(first, words.Length)];
    }
}
