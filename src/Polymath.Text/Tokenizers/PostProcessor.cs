namespace Polymath.Text;

/// <summary>Adds the tokens that begin, separate and end a sequence to its ids.</summary>
/// <param name="Single">For one text: each step is ids to add, or the text itself.</param>
/// <param name="Pair">The same for two texts.</param>
internal sealed record PostProcessor(IReadOnlyList<PostProcessor.Step> Single, IReadOnlyList<PostProcessor.Step> Pair)
{
    /// <summary>Adds nothing.</summary>
    public static PostProcessor None { get; } = new([new(0, [], 0)], [new(0, [], 0), new(1, [], 1)]);

    /// <summary>One step: the text of that number, or (for -1) the ids.</summary>
    /// <param name="Sequence">0 or 1 for a text, -1 for ids.</param>
    /// <param name="Ids">The ids to add.</param>
    /// <param name="TypeId">The number of the part they belong to.</param>
    public sealed record Step(int Sequence, IReadOnlyList<int> Ids, int TypeId);

    /// <summary>How many ids the steps add to the texts.</summary>
    public static int CountAdded(IReadOnlyList<Step> steps) => steps.Where(step => step.Sequence < 0).Sum(step => step.Ids.Count);

    /// <summary>The whole sequence with its type ids.</summary>
    public static (List<int> Ids, List<int> TypeIds) Build(IReadOnlyList<Step> steps, params IReadOnlyList<int>[] texts)
    {
        List<int> ids = [], types = [];
        foreach (var step in steps)
        {
            var part = step.Sequence switch
            {
                < 0 => step.Ids,
                var text when text < texts.Length => texts[text],
                _ => [],
            };
            ids.AddRange(part);
            types.AddRange(Enumerable.Repeat(step.TypeId, part.Count));
        }

        return (ids, types);
    }

    /// <summary>Reads the kinds that change ids; byte-level ones only trim offsets, which do not exist here.</summary>
    public static PostProcessor Read(JsonPart? part)
    {
        if (part is not { } given)
            return None;
        switch (given.Get("type").Text())
        {
            case "ByteLevel":
                return None;
            case "TemplateProcessing":
                var special = given.Get("special_tokens");
                return new(Steps(given.Get("single"), special), Steps(given.Get("pair"), special));
            case "RobertaProcessing":
                var (open, close) = (EndToken(given.Get("cls")), EndToken(given.Get("sep")));
                return new([open, new(0, [], 0), close], [open, new(0, [], 0), close, close, new(1, [], 0), close]);
            case "BertProcessing":
                var (first, parting) = (EndToken(given.Get("cls")), EndToken(given.Get("sep")));
                return new([first, new(0, [], 0), parting], [first, new(0, [], 0), parting, new(1, [], 1), parting with { TypeId = 1 }]);
            case "Sequence":
                // In practice, only one of a sequence adds tokens; the others trim offsets.
                return given.Get("processors").Items().Select(item => Read(item)).LastOrDefault(processor => processor != None) ?? None;
            case var other:
                throw given.Fault($"the post-processor '{other}' is not known; known are ByteLevel, TemplateProcessing, RobertaProcessing, "
                    + $"BertProcessing, Sequence");
        }
    }

    private static Step EndToken(JsonPart part)
    {
        var items = part.Items().ToList();
        return items.Count == 2
            ? new(-1, [items[1].Integer(0, VocabularyReader.LargestId)], 0)
            : throw part.Fault("a token and its id are needed here");
    }

    private static List<Step> Steps(JsonPart part, JsonPart special) => [.. part.Items().Select(item =>
    {
        if (item.Find("Sequence") is { } sequence)
            return new Step(sequence.Get("id").Text() == "B" ? 1 : 0, [], TypeOf(sequence));
        var token = item.Get("SpecialToken");
        var ids = special.Get(token.Get("id").Text()).Get("ids").Items().Select(id => id.Integer(0, VocabularyReader.LargestId)).ToList();
        return new Step(-1, ids, TypeOf(token));
    })];

    private static int TypeOf(JsonPart part) => part.Find("type_id")?.Integer(0, int.MaxValue) ?? 0;
}
