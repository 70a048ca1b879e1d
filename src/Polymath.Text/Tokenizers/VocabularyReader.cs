namespace Polymath.Text;

/// <summary>Reads a vocabulary that is written as an object of tokens and ids.</summary>
internal static class VocabularyReader
{
    /// <summary>The largest id allowed: tables are as long as the largest id.</summary>
    public const int LargestId = (1 << 24) - 1;

    /// <summary>Reads the tokens; ids must differ.</summary>
    public static Dictionary<string, int> Read(JsonPart part)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        var owners = new Dictionary<int, string>();
        foreach (var (token, value) in part.Members())
        {
            var id = value.Integer(0, LargestId);
            if (!owners.TryAdd(id, token) && owners[id] != token)
                throw part.Fault($"the tokens '{owners[id]}' and '{token}' share the id {id}");
            vocabulary[token] = id;
        }

        return vocabulary;
    }
}
