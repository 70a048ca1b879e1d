using Polymath.Text;

namespace Polymath.Tests.Text.Templates;

/// <summary>A tokenizer of letters and some special tokens that counts the letters it was given.</summary>
internal sealed class CountingTokenizer(IReadOnlyList<string> special) : Tokenizer
{
    private const int Letter = 1000;

    public long Letters { get; set; }

    public override int VocabularySize => char.MaxValue + Letter;

    public override IReadOnlyDictionary<string, int> SpecialTokens { get; } =
        special.Select((name, id) => (name, id)).ToDictionary(pair => pair.name, pair => pair.id);

    public override string TokenOf(int id) => id < special.Count ? special[id] : ((char)(id - Letter)).ToString();

    public override int? IdOf(string token) => SpecialTokens.TryGetValue(token, out var id) ? id : token[0] + Letter;

    public override int[] Encode(string text, bool addSpecialTokens = false)
    {
        Letters += text.Length;
        var ids = new List<int>();
        for (var i = 0; i < text.Length;)
        {
            var name = special.FirstOrDefault(name => text.AsSpan(i).StartsWith(name));
            ids.Add(name is null ? text[i] + Letter : SpecialTokens[name]);
            i += name?.Length ?? 1;
        }
        return [.. ids];
    }

    public override int[] EncodePlain(string text) => [.. text.Select(letter => letter + Letter)];

    public override (int[] Ids, int[] TypeIds) EncodePair(string first, string second) => throw new NotSupportedException();

    public override TokenStream NewStream(bool skipSpecialTokens = true) => throw new NotSupportedException();

    public override ReadOnlyMemory<byte> ToJson() => throw new NotSupportedException();

    public override TokenizerDescription Describe() => throw new NotSupportedException();
}
