using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>What names may look like.</summary>
internal static partial class Names
{
    /// <summary>Whether a name can be a folder's: letters, digits, '-', '_' and '.', with a letter or digit in front and no '.' at the end.</summary>
    public static bool IsFileName(string name) => name.Length <= 100 && Form().IsMatch(name);

    [GeneratedRegex(@"^[\p{L}\p{Nd}](?:[\p{L}\p{M}\p{Nd}._-]*[\p{L}\p{M}\p{Nd}_-])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
